// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/shim/attach"
)

func TestContainer(t *testing.T) {
	r := newRig(t, "echo out; echo err >&2; printf part; exit 7")
	r.execute(r.args("--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg",
		fmt.Sprintf("cat %s >%s && mv %[2]s %s", r.path("exits/"+testID), r.path("new"), r.path("after")))...)
	if err := r.cmd.Wait(); err != nil {
		t.Fatalf("first stage: %v: %s", err, r.stderr.String())
	}
	pid := r.number("data")
	if got := r.text("pid"); got != fmt.Sprint(pid) {
		t.Errorf("pid file %s, message %d", got, pid)
	}
	for name, want := range map[string]string{"exits/" + testID: "7", "persist/exit": "7", "after": "7"} {
		if got := r.text(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if m := r.message(r.sync); m != nil {
		t.Errorf("a second message: %v", m)
	}
	if got, want := r.log(), "stdout F out\nstderr F err\nstdout P part\nstdout F \n"; got != want && got != "stdout F out\nstdout P part\nstderr F err\nstdout F \n" {
		t.Errorf("log = %q, want %q", got, want)
	}
}

func TestNothingStartsBeforeTheCallerSaysSo(t *testing.T) {
	r := newRig(t, "exit 0")
	r.env = append(r.env, "FAKE_NOTE="+r.path("note"))
	r.launch(r.args()...)
	time.Sleep(100 * time.Millisecond)
	if names, err := filepath.Glob(r.path("*.pid")); err != nil || len(names) > 0 {
		t.Errorf("before the start message: %v, %v", names, err)
	}
	r.goOn()
	r.number("data")
	if got := r.text("note"); !strings.Contains(got, `"create" "--bundle"`) {
		t.Errorf("command line %s", got)
	}
}

// Podman 4 writes the monitor's pid to the tasks files of a cgroup v1 before it
// lets the monitor go on, which moves the main thread alone: all of the second
// stage has to come from that one. A nice value is one thread's, too. Without
// the lock some of these fail, and with --sync in one process all did.
func TestSecondStageComesFromTheMainThread(t *testing.T) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	nice := 20 - raw + 1
	if nice > 19 {
		t.Skip("needs a nice value below 19")
	}
	for i := range 20 {
		for _, mode := range [][]string{nil, {"--sync"}} {
			t.Run(fmt.Sprint(i, mode), func(t *testing.T) {
				r := newRig(t, "exec sleep 100")
				r.launch(r.args(mode...)...)
				time.Sleep(20 * time.Millisecond) // it waits for us
				if err := unix.Setpriority(unix.PRIO_PROCESS, r.cmd.Process.Pid, nice); err != nil {
					t.Fatal(err)
				}
				r.goOn()
				r.number("data") // the second stage is at work
				threads, err := filepath.Glob("/proc/" + r.text("monitor.pid") + "/task/*")
				if err != nil || len(threads) == 0 {
					t.Fatalf("no threads: %v", err)
				}
				for _, path := range threads {
					thread, err := strconv.Atoi(filepath.Base(path))
					if err != nil {
						t.Fatal(err)
					}
					if raw, err := unix.Getpriority(unix.PRIO_PROCESS, thread); err != nil || 20-raw != nice {
						t.Errorf("a thread has the nice value %d (%v), the main thread of the first stage %d", 20-raw, err, nice)
					}
				}
			})
		}
	}
}

func TestSyncIsOneProcess(t *testing.T) {
	r := newRig(t, "exit 3")
	r.execute(r.args("--sync")...)
	err := r.cmd.Wait()
	if r.cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("the monitor ended with %v, want the container's 3", err)
	}
}

func TestCreateFails(t *testing.T) {
	r := newRig(t, "exit 0")
	r.env = append(r.env, "FAKE_NONE=1", "FAKE_STATUS=1", "FAKE_STDERR=no \"such\" thing\n")
	r.execute(r.args("--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg", "echo >"+r.path("after"))...)
	m := r.message(r.sync)
	if m["data"] != -1.0 || m["message"] != `no "such" thing` {
		t.Errorf("message %v", m)
	}
	r.text("after") // tidies up all the same
	if _, err := os.Stat(r.path("exits/" + testID)); err == nil {
		t.Error("an exit file, and there was no container")
	}
}

func TestFailureWithoutWords(t *testing.T) {
	r := newRig(t, "exit 0")
	r.env = append(r.env, "FAKE_NONE=1", "FAKE_STATUS=3")
	r.execute(r.args()...)
	if m := r.message(r.sync); m["data"] != -1.0 || !strings.Contains(fmt.Sprint(m["message"]), "exit status 3") {
		t.Errorf("message %v", m)
	}
}

func execArgs(r *rig, more ...string) []string {
	return r.args(append([]string{"-e", "--exec-process-spec", "p.json"}, more...)...)
}

func TestExec(t *testing.T) {
	r := newRig(t, "echo hi; exit 5")
	r.env = append(r.env, "FAKE_STATUS=5") // a runtime may return the process's
	r.execute(execArgs(r)...)
	if pid := r.number("data"); pid <= 0 {
		t.Errorf("pid %d", pid)
	}
	if code := r.number("data"); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
}

func TestExecThatDoesNotStart(t *testing.T) {
	r := newRig(t, "")
	r.env = append(r.env, "FAKE_NONE=1", "FAKE_STATUS=255", "FAKE_STDERR=executable file not found")
	r.execute(execArgs(r)...)
	if m := r.message(r.sync); m["data"] != -1.0 || m["message"] != "executable file not found" {
		t.Errorf("message %v", m)
	}
}

func TestLegacyExec(t *testing.T) {
	r := newRig(t, "exit 6")
	r.execute(append([]string{"-c", testID, "-r", r.path("fakert"), "-e", "--exec-process-spec", "p", "-p", r.path("pid")}, "-l", r.path("log"))...)
	if code := r.number("exit_code"); code != 6 {
		t.Errorf("exit code %d, want 6", code)
	}
}

func TestExecAttach(t *testing.T) {
	r := newRig(t, "cat; echo done >&2")
	r.execute(execArgs(r, "-i", "--exec-attach", "-l", "none")...)
	if m := r.message(r.attach); m["data"] != 0.0 {
		t.Fatalf("message on the attach pipe: %v", m)
	}
	client := r.client()
	r.goOn()
	r.number("data")
	for i := range 3 {
		if _, err := fmt.Fprintf(client, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Shutdown(int(client.Fd()), unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(client.Fd()), true); err != nil { // Fd made it block
		t.Fatal(err)
	}
	if got := received(t, client, attach.Stdout); got != "line 0\nline 1\nline 2\n" {
		t.Errorf("stdout %q", got)
	}
	if code := r.number("data"); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestLeaveStdinOpen(t *testing.T) {
	r := newRig(t, "read a; echo $a; read b; echo $b")
	r.execute(r.args("-i", "--leave-stdin-open")...)
	r.number("data")
	for _, line := range []string{"one\n", "two\n"} {
		client := r.client()
		if _, err := client.WriteString(line); err != nil {
			t.Fatal(err)
		}
		_ = client.Close() // nothing is lost by that
		r.logHas(strings.TrimSpace(line))
	}
	r.text("exits/" + testID)
	if got := r.log(); got != "stdout F one\nstdout F two\n" {
		t.Errorf("log %q", got)
	}
}

func TestTerminal(t *testing.T) {
	r := newRig(t, "read go; stty size; echo a; exit 2")
	r.execute(r.args("-t")...)
	r.number("data")
	for _, line := range []string{"garbage\n", "1 -2 3\n", "1 33 77 99\n", "1 33 77\n"} {
		if err := os.WriteFile(r.path("bundle/ctl"), []byte(line), 0); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond) // another fifo than the input
	client := r.client()
	if _, err := client.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if got := received(t, client, attach.Stdout); !strings.Contains(got, "33 77\r\na\r\n") {
		t.Errorf("output %q", got)
	}
	if got := r.text("exits/" + testID); got != "2" {
		t.Errorf("exit %s", got)
	}
}

func TestReopenLog(t *testing.T) {
	r := newRig(t, "echo one; read go; echo two")
	r.execute(r.args("-i")...)
	r.number("data")
	r.logHas("one")
	if err := os.Rename(r.path("log"), r.path("log.1")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("bundle/ctl"), []byte("2 0 0\n"), 0); err != nil {
		t.Fatal(err)
	}
	r.text("log") // CRI-O waits for that
	if _, err := r.client().WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	r.text("exits/" + testID)
	if got := r.log(); got != "stdout F two\n" {
		t.Errorf("new log %q", got)
	}
}

// A client that is slow to read gets every byte.
func TestStalledClient(t *testing.T) {
	r := newRig(t, "read go; i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 4")
	r.execute(r.args("-i")...)
	r.number("data")
	client := r.client()
	if _, err := client.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // its queue is full, and the process waits
	want := strings.Repeat("0123456789012345678901234567890123456789\n", 20000)
	if got := received(t, client, attach.Stdout); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	if got := r.text("exits/" + testID); got != "4" {
		t.Errorf("exit %s", got)
	}
}

func TestExitIsReportedPastAClientThatNeverReads(t *testing.T) {
	r := newRig(t, "read go; head -c 700000 /dev/zero & sleep 0.5; kill -9 $!; exit 4")
	r.execute(r.args("-i")...)
	r.number("data")
	client := r.client()
	if _, err := client.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if got := r.text("exits/" + testID); got != "4" {
		t.Errorf("exit %s", got)
	}
	pid, err := readPID(r.path("monitor.pid"))
	if err != nil || !ours(pid) {
		t.Errorf("monitor %d, %v: gone before its client", pid, err)
	}
	_ = client.Close() // nothing is to come
	for range 500 {
		if !ours(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the monitor does not end without clients")
}

func TestTimeout(t *testing.T) {
	r := newRig(t, "sleep 100 & sleep 100")
	r.execute(execArgs(r, "--timeout", "1")...)
	r.number("data")
	if m := r.message(r.sync); m["data"] != -1.0 || m["message"] != "command timed out" {
		t.Errorf("message %v", m)
	}
	if got := r.text("exits/" + testID); got != "-1" {
		t.Errorf("exit file %s", got)
	}
}

func TestSignalsArePassedOn(t *testing.T) {
	r := newRig(t, "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done")
	r.execute(r.args()...)
	r.number("data")
	r.logHas("ready")
	pid, err := readPID(r.path("monitor.pid"))
	if err == nil {
		err = unix.Kill(pid, unix.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := r.text("exits/" + testID); got != "9" {
		t.Errorf("exit %s", got)
	}
}

func TestListenPID(t *testing.T) {
	for flag, want := range map[string]string{"--replace-listen-pid": "ours: true", "--no-sync-log": "ours: false"} {
		r := newRig(t, "exit 0")
		r.env = append(r.env, "LISTEN_PID=1", "LISTEN_FDS=0", "FAKE_NOTE="+r.path("note"))
		r.execute(r.args(flag)...)
		r.number("data")
		if got := r.text("note"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", flag, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ flag, value, want string }{
		{"-r", "/no/such/runtime", "[conmon:e]: Runtime path /no/such/runtime is not valid no such file or directory\n"},
		{"-l", "k8s-file:/no/such/dir/log", "[conmon:e]: "},
		{"-c", "", "conmon: Container ID not provided. Use --cid\n"},
	} {
		r := newRig(t, "")
		r.execute(r.args(c.flag, c.value)...)
		err := r.cmd.Wait()
		if r.cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(r.stderr.String(), c.want) {
			t.Errorf("%s %s: %v, %q", c.flag, c.value, err, r.stderr.String())
		}
	}
}

func TestNotifyProxy(t *testing.T) {
	r := newRig(t, "exit 0")
	host, err := net.ListenPacket("unixgram", r.path("host.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	p, err := listenNotify(r.path("bundle"), r.path("host.sock"))
	if err != nil {
		t.Fatal(err)
	}
	go p.forward(func(err error) { t.Error(err) })
	defer p.close()
	name := r.path("bundle/notify/notify.sock")
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o777 {
		t.Errorf("%v, %v; want mode 0777", st.Mode(), err)
	}
	c, err := net.Dial("unixgram", name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range []string{"", "MAINPID=1\nFDSTORE=1\n", "READY=1\nMAINPID=1\nSTATUS=well\n"} {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 100)
	n, _, err := host.ReadFrom(buf)
	if got, want := string(buf[:n]), "READY=1\nSTATUS=well\n"; err != nil || got != want {
		t.Errorf("forwarded %q, %v; want %q", got, err, want)
	}
}
