// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWriteForeignImages is run by TestARM64UnderQEMU: built for arm64, it
// writes the images that the test then runs.
func TestWriteForeignImages(t *testing.T) {
	dir := os.Getenv("BERTH_IMAGE_DIR")
	if dir == "" {
		t.Skip("only within TestARM64UnderQEMU")
	}
	_, code := Interpreter()
	for name, b := range foreignPrograms() {
		p, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		image, err := Image(p, code)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), image, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// foreignPrograms exercise every kind of operation; each ends with the status
// that foreignStatus says.
func foreignPrograms() map[string]*Builder {
	programs := map[string]*Builder{}
	add := func(name string) *Builder {
		b := New(Config{Arch: native(), Control: 1})
		programs[name] = b
		return b
	}
	b := add("exit")
	b.Do(ExitGroup, 42)

	b = add("rules")
	l, w := b.Label(), b.Word("w")
	b.Do(Openat, unix.AT_FDCWD, "/no/such", unix.O_CLOEXEC, 0).Skip(unix.EPERM).On(l, unix.ENOENT)
	b.Do(ExitGroup, 1)
	b.Place(l)
	b.Do(Chdir, "/no/such").Skip(AnyErrno)
	b.Set(w, 9)
	yes, no := b.Label(), b.Label()
	b.JumpUnlessEqual(w.Addr(), 0xff, 9, no)
	b.JumpIfEqual(w.Addr(), 0xff, 9, yes)
	b.Place(no)
	b.Do(ExitGroup, 2)
	b.Place(yes)
	b.Do(ExitGroup, w)

	b = add("fail")
	b.Do(Chdir, "/")
	b.Do(Chdir, "/no/such")
	b.Do(ExitGroup, 0)

	b = add("hello")
	b.Do(Write, 1, "hello\n", 6)
	b.Do(ExitGroup, 0)
	return programs
}

func TestARM64UnderQEMU(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		t.Skip("qemu-aarch64 is missing: package qemu-user")
	}
	dir := t.TempDir()
	test := filepath.Join(dir, "boot.test")
	build := exec.Command("go", "test", "-c", "-o", test, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cross build: %v\n%s", err, out)
	}
	write := exec.Command(qemu, test, "-test.run", "TestWriteForeignImages")
	write.Env = append(os.Environ(), "BERTH_IMAGE_DIR="+dir)
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("under qemu: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name, output string
		status       int
	}{
		{"exit", "", 42},
		{"rules", "", 9},
		{"hello", "hello\n", 0},
		// offset 12 of the operations, ENOENT
		{"fail", "FAIL\x0c\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00", 1},
	} {
		out, err := exec.Command(qemu, filepath.Join(dir, c.name)).Output()
		status := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			status = exit.ExitCode()
		}
		if status != c.status || string(out) != c.output {
			t.Errorf("%s: status %d, output %q; want %d, %q", c.name, status, out, c.status, c.output)
		}
	}
}
