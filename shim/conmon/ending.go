// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
	"berth/shim/conmon/options"
)

// end tells how the process ended: everything that waits for it finds the log
// complete.
func (m *monitor) end(outputs []*output, status int) int {
	if m.timedOut.Load() {
		status = -1
	}
	m.wiring.endInput()
	for _, o := range outputs {
		o.finish()
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		m.awaitClients(outputs)
	}()
	select {
	case <-sent:
	case <-time.After(sendTime):
	}
	if err := m.journal.close(); err != nil {
		m.warn(err)
	}
	m.report(status)
	done := m.exitCommand()
	<-sent // as long as somebody is slow to read, and no longer than he is there
	m.close()
	if code := <-done; code != 0 {
		return code
	}
	return status & 0xff
}

// awaitClients returns when all clients have all output, or are gone.
func (m *monitor) awaitClients(outputs []*output) {
	for _, o := range outputs {
		<-o.sent
	}
	if m.journal.attach == nil {
		return
	}
	for errors.Is(m.journal.attach.Drain(time.Now().Add(time.Hour)), os.ErrDeadlineExceeded) {
	}
}

// report writes the exit status where callers look for it, in conmon's order:
// ports and the like are free by then.
func (m *monitor) report(status int) {
	for _, fd := range m.inherited {
		_ = unix.Close(fd) // never used by us
	}
	text := []byte(strconv.Itoa(status))
	if m.o.PersistDir != "" {
		m.record(filepath.Join(m.o.PersistDir, "exit"), text)
	}
	if m.o.ExitDir != "" {
		m.record(filepath.Join(m.o.ExitDir, m.o.ID), text)
	}
	if m.o.Exec {
		message := options.Message{Key: m.o.MessageKey(), Value: status}
		if m.timedOut.Load() {
			message.Text = options.TimedOut
		}
		m.sync.tell(message)
	}
	m.sync.close()
}

func (m *monitor) record(path string, text []byte) {
	if err := atomicfile.Write(path, text, 0o644); err != nil {
		m.log.write(options.LevelError, err.Error())
	}
}

// noteOOM leaves the empty file that engines look for.
func (m *monitor) noteOOM() {
	for _, dir := range []string{m.o.Bundle, m.o.PersistDir} {
		if dir != "" {
			m.record(filepath.Join(dir, "oom"), nil)
		}
	}
}

// fail tells the caller why there is no process. The exit command runs all the
// same: the engine counts on it to tidy up.
func (m *monitor) fail(err error) int {
	m.log.write(options.LevelError, err.Error())
	m.sync.tell(options.Message{Key: m.o.MessageKey(), Value: -1, Text: err.Error()})
	m.sync.close()
	m.attach.close()
	if m.journal.logs != nil {
		_ = m.journal.close() // the first error counts
	}
	m.close()
	if code := <-m.exitCommand(); code != 0 {
		return code
	}
	return failed
}

// close removes what we made and nobody reads any more.
func (m *monitor) close() {
	m.wiring.close()
	for _, f := range m.fifos {
		_ = f.Close() // the other monitor, after us, replaces the name
	}
	if m.notify != nil {
		m.notify.close()
	}
	if m.journal.attach != nil {
		if err := m.journal.attach.Close(); err != nil {
			m.warn(err)
		}
	}
}

// exitCommand starts the caller's program and gives its exit status.
func (m *monitor) exitCommand() <-chan int {
	done := make(chan int, 1)
	if m.o.ExitCommand == "" {
		done <- 0
		return done
	}
	setOOMScore(m.score)
	go func() {
		time.Sleep(m.o.ExitDelay)
		done <- m.runExitCommand()
	}()
	return done
}

func (m *monitor) runExitCommand() int {
	for _, fd := range inherited() {
		unix.CloseOnExec(fd)
	}
	argv := append([]string{m.o.ExitCommand}, m.o.ExitArgs...)
	// Not to adopt what it leaves behind.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	// Nothing of it belongs into the caller's files, which passthrough has.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	pid := 0
	if err == nil {
		defer null.Close()
		fd := null.Fd()
		pid, err = forkExec(m.o.ExitCommand, argv, os.Environ(), [3]uintptr{fd, fd, fd})
	}
	if err != nil {
		m.log.write(options.LevelError, err.Error())
		return failed
	}
	var ws syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &ws, 0, nil); err != syscall.EINTR {
			break
		}
	}
	return exitStatus(ws)
}
