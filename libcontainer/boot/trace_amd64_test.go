// SPDX-License-Identifier: Apache-2.0

package boot_test

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"berth/libcontainer/boot"
	"berth/libcontainer/config"
	"berth/libcontainer/host"
	"berth/libcontainer/plan"
)

// TestExecutedCallsAreThePlan traces a container's boot image from its first
// instruction and compares every system call with the operation of the plan
// that it claims to execute: number and immediate arguments.
func TestExecutedCallsAreThePlan(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("new namespaces and tracing need root")
	}
	runtime.LockOSThread() // ptrace(2) requests must come from the tracer's thread
	p := smallPlan(t)
	child, err := boot.StartTraced(boot.Launch{Program: p.Program, Files: []*os.File{nil, os.Stdout, os.Stderr}, Cloneflags: p.Cloneflags})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	go serve(p, child)

	var executed []int
	entering := true
	for {
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(child.Pid, &ws, 0, nil); err != nil {
			t.Fatal(err)
		}
		if ws.Exited() || ws.Signaled() {
			break
		}
		if ws.StopSignal() == syscall.SIGTRAP|0x80 && entering {
			var regs syscall.PtraceRegs
			if err := syscall.PtraceGetRegs(child.Pid, &regs); err != nil {
				t.Fatal(err)
			}
			i := p.Program.OpAt(regs.R12)
			if i < 0 {
				if len(executed) > 0 && p.Program.Ops[executed[len(executed)-1]].Call == boot.Execve {
					_ = syscall.Kill(child.Pid, syscall.SIGKILL) // the payload runs
				} else {
					t.Errorf("call %d by something that is no operation", regs.Orig_rax)
				}
			} else {
				executed = append(executed, i)
				checkCall(t, p, i, &regs)
			}
		}
		if ws.StopSignal() == syscall.SIGTRAP|0x80 {
			entering = !entering
		} else {
			_ = syscall.PtraceSetOptions(child.Pid, syscall.PTRACE_O_TRACESYSGOOD)
		}
		if err := syscall.PtraceSyscall(child.Pid, 0); err != nil {
			break
		}
	}
	var names strings.Builder
	for _, i := range executed {
		names.WriteString(p.Program.Ops[i].Call.String() + " ")
	}
	for _, want := range []string{"sethostname", "open_tree", "move_mount", "fsmount", "pivot_root", "setresuid", "capset", "execve"} {
		if !strings.Contains(names.String(), want+" ") {
			t.Errorf("%s was not executed; executed: %s", want, names.String())
		}
	}
}

// checkCall compares a call's number and immediate arguments with the plan.
func checkCall(t *testing.T, p *plan.Plan, i int, regs *syscall.PtraceRegs) {
	t.Helper()
	o := p.Program.Ops[i]
	if o.Kind != boot.Syscall || uint64(o.Call.Number(boot.AMD64)) != regs.Orig_rax {
		t.Errorf("operation %d is %s; executed call number %d", i, p.Program.FormatOp(i), regs.Orig_rax)
		return
	}
	for j, v := range []uint64{regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9} {
		if j < len(o.Args) && !o.Args[j].Load && uint64(int64(int32(o.Args[j].Value))) != v {
			t.Errorf("operation %d, %s: argument %d = %#x", i, p.Program.FormatOp(i), j, v)
		}
	}
}

func smallPlan(t *testing.T) *plan.Plan {
	t.Helper()
	facts, err := host.Probe()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	cfg := &config.Container{
		Rootfs: root, Hostname: "traced",
		Namespaces: config.Namespaces{{Type: config.PIDNS}, {Type: config.MountNS}, {Type: config.UTSNS}},
		Mounts: []config.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Index: 1, Destination: "/bin", Type: "bind", Bind: true, Recursive: true, Source: "/bin"},
			{Index: 2, Destination: "/lib", Type: "bind", Bind: true, Recursive: true, Source: "/lib"},
			{Index: 3, Destination: "/lib64", Type: "bind", Bind: true, Recursive: true, Source: "/lib64"},
		},
		MaskedPaths: []string{"/proc/kcore", "/proc/acpi"}, ReadonlyPaths: []string{"/proc/sys"}, ReadonlyRoot: true,
		Process: &config.Process{Args: []string{"true"}, Env: []string{"PATH=/sbin:/bin"}, Cwd: "/", Umask: 0o22},
	}
	in := &plan.Input{ID: "traced", Config: cfg, Host: facts, Start: true, Mounts: make([]plan.MountFacts, len(cfg.Mounts))}
	for i := range in.Mounts {
		in.Mounts[i].Source = plan.Directory
	}
	p, err := plan.Compile(in, boot.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve answers every barrier.
func serve(p *plan.Plan, c *boot.Child) {
	for {
		m, err := c.Receive()
		if err != nil || m.Done {
			return
		}
		if p.Steps[m.Barrier].Kind == plan.StepProbe {
			_, _ = c.ReceiveData(plan.ProbeSize)
		}
		if c.Answer(nil) != nil {
			return
		}
	}
}
