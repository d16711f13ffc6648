// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/residency"
	"berth/internal/selfpipe"
	"berth/shim/attach"
	"berth/shim/conmon/options"
	"berth/shim/ociruntime"
	"berth/shim/oom"
	"berth/shim/supervise"
)

const (
	// sendTime is how long clients may take for the last output before the exit
	// is reported without waiting for them. Podman looks for the report for 5 s.
	sendTime = 2 * time.Second
	// idleTime is how long after the process's start we give memory back.
	idleTime = time.Second
	// failed is the monitor's exit status when there was nothing to supervise.
	failed = 1
)

// monitor supervises one process.
type monitor struct {
	o       options.Options
	score   string // our caller's oom_score_adj, "" for unknown
	launch  launcher
	signals chan unix.Signal
	log     ownLog

	sync    *callerPipe
	attach  *callerPipe
	wiring  *wiring
	journal journal
	fifos   []*os.File
	notify  *notifyProxy
	// inherited are what our caller left open for as long as we live.
	inherited []int

	process  supervise.Process
	timedOut atomic.Bool
}

func newMonitor(o options.Options, score string, launch launcher) *monitor {
	return &monitor{
		o: o, score: score, launch: launch, signals: make(chan unix.Signal, 16),
		log: ownLog{o}, sync: openCallerPipe(o.SyncPipe), attach: openCallerPipe(o.AttachPipe), wiring: &wiring{}, inherited: inherited(),
	}
}

func (m *monitor) warn(err error) { m.log.write(options.LevelWarn, err.Error()) }

// run is the whole life. It returns the exit status.
func (m *monitor) run() int {
	for _, w := range m.o.Warnings {
		m.log.write(options.LevelWarn, w)
	}
	if err := m.prepare(); err != nil {
		return m.fail(err)
	}
	if err := m.begin(); err != nil {
		return m.fail(err)
	}
	return m.attend()
}

// prepare makes everything that has to be there before the process is.
func (m *monitor) prepare() (err error) {
	if m.journal.logs, err = openLogs(m.o, func(text string) { m.log.write(options.LevelWarn, text) }); err != nil {
		return err
	}
	if m.wiring, err = wire(m.o); err != nil {
		return err
	}
	if m.o.Bundle != "" {
		if err := m.openBundle(); err != nil {
			return err
		}
	}
	if m.o.ExecAttach {
		m.attach.tell(options.Message{})
		m.attach.close()
		if err := awaitCaller(m.o.StartPipe); err != nil {
			return fmt.Errorf("start-pipe read failed: %w", err)
		}
	}
	if m.o.StartPipe >= 0 {
		_ = unix.Close(m.o.StartPipe) // only read from
	}
	return nil
}

// openBundle makes what clients find in the bundle.
func (m *monitor) openBundle() (err error) {
	a := attach.Options{Bundle: m.o.Bundle, SocketDir: m.o.SocketDir, CUUID: m.o.UUID, Full: m.o.FullAttach}
	if !m.o.LeaveStdinOpen {
		a.OnEOF = func() { m.wiring.endInput() }
	}
	if m.journal.attach, err = attach.Listen(a); err != nil {
		return err
	}
	for name, line := range map[string]func([]byte) error{controlFifo: m.control, windowFifo: m.window} {
		f, err := openFifo(m.o.Bundle, name)
		if err != nil {
			return err
		}
		m.fifos = append(m.fifos, f)
		go obey(f, line, m.warn)
	}
	if m.o.NotifySocket != "" {
		if m.notify, err = listenNotify(m.o.Bundle, m.o.NotifySocket); err != nil {
			return err
		}
		go m.notify.forward(m.warn)
	}
	return nil
}

// begin has the runtime make the process, and tells the caller its pid.
func (m *monitor) begin() error {
	if err := os.Remove(m.o.PIDFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	console := ""
	if m.wiring.console != nil {
		console = m.wiring.console.Path
	}
	argv := options.RuntimeArgs(m.o, console)
	setOOMScore(m.score) // the container is not to be spared
	status, err := m.launch(argv, m.wiring.runtime)
	if m.score != "" {
		setOOMScore("-1000")
	}
	m.wiring.begun()
	if err != nil {
		return err
	}
	pid, err := readPID(m.o.PIDFile)
	// The status of an exec may be that of the process, which has ended by now;
	// that of a create is the runtime's.
	if err != nil && status == 0 {
		return err
	}
	if err != nil || status != 0 && !m.o.Exec {
		return m.runtimeFailed(status)
	}
	if m.process, err = ociruntime.OpenChild(pid); err != nil {
		return err
	}
	if m.wiring.console != nil {
		if err := m.wiring.takeTerminal(); err != nil {
			_ = m.process.Signal(unix.SIGKILL) // nobody could talk to it
			return err
		}
	}
	if m.o.APIVersion >= 1 || !m.o.Exec {
		m.sync.tell(options.Message{Key: m.o.MessageKey(), Value: pid})
	}
	return nil
}

// runtimeFailed is the runtime's word about what went wrong.
func (m *monitor) runtimeFailed(status int) error {
	if words := m.wiring.complaint(); words != "" {
		return errors.New(words)
	}
	verb := "create container"
	if m.o.Exec {
		verb = "start exec session"
	}
	return fmt.Errorf("failed to %s: %s: exit status %d", verb, m.o.Runtime, status)
}

func readPID(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%s: %q is no pid", path, data)
	}
	return pid, nil
}

// attend waits for the process's end, and tells about it.
func (m *monitor) attend() int {
	outputs := m.wiring.outputs(&m.journal)
	for _, o := range outputs {
		go o.pump()
	}
	if m.journal.attach != nil {
		if m.o.Stdin || m.o.Terminal {
			m.journal.attach.Stdin(m.wiring.input)
		} else {
			m.journal.attach.Stdin(nil)
		}
	}
	checkOOM := m.watchOOM()
	died := make(chan unix.Signal, 1)
	go ociruntime.ReapOrphans(died)
	if err := selfpipe.Notify(died, unix.SIGCHLD); err != nil {
		m.warn(err) // zombies stay until we end
	}
	go m.passSignals()
	var timeout *time.Timer
	if m.o.Timeout > 0 {
		timeout = time.AfterFunc(m.o.Timeout, m.timeOut)
	}
	rest := time.AfterFunc(idleTime, residency.Shrink) // once it runs, there is little to do
	defer rest.Stop()
	status, err := m.process.Wait()
	if timeout != nil {
		timeout.Stop()
	}
	if err != nil {
		m.warn(err)
		status = supervise.NeverRan
	}
	checkOOM()
	return m.end(outputs, status)
}

// passSignals has the process get the signals that ask us to end.
func (m *monitor) passSignals() {
	for s := range m.signals {
		if s != unix.SIGPIPE && s != unix.SIGHUP {
			if err := m.process.Signal(s); err != nil && !errors.Is(err, supervise.ErrNotFound) {
				m.warn(err)
			}
		}
	}
}

// timeOut kills the process and, if it leads one, its process group.
func (m *monitor) timeOut() {
	m.timedOut.Store(true)
	// As long as the process can be signalled its pid is its own.
	if err := m.process.Signal(0); err != nil {
		return
	}
	pid := m.process.Pid()
	if group, err := unix.Getpgid(pid); err == nil && group == pid {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	_ = m.process.Signal(unix.SIGKILL) // gone by now, perhaps
}

// watchOOM begins to note kills of a container; the result looks for those of
// the last moment.
func (m *monitor) watchOOM() (check func()) {
	if m.o.Exec {
		return func() {}
	}
	check, _, err := oom.Watch(m.process.Pid(), m.noteOOM)
	if err != nil {
		m.log.write(options.LevelDebug, "no out-of-memory events: "+err.Error())
		return func() {}
	}
	return check
}
