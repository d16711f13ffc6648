// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// loader is what an executable needs to be executed.
type loader struct {
	// Path is the script's interpreter or the ELF loader; "" for none.
	Path string
	// Kind is "script interpreter" or "ELF loader".
	Kind string
}

// parseExecutable reads the first bytes of an executable: execve(2), elf(5).
// others says that the kernel may know other formats (binfmt_misc).
func parseExecutable(head []byte, others func() bool) (loader, error) {
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		line, _, ok := bytes.Cut(head[2:], []byte("\n"))
		if !ok && len(head) >= 256 {
			line = head[2:256] // BINPRM_BUF_SIZE
		}
		path := strings.TrimLeft(string(line), " \t")
		if i := strings.IndexAny(path, " \t"); i >= 0 {
			path = path[:i]
		}
		path = strings.TrimRight(path, "\x00")
		if path == "" {
			return loader{}, fmt.Errorf("the script names no interpreter: %w", unix.ENOEXEC)
		}
		return loader{path, "script interpreter"}, nil
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return parseELF(head, others)
	case others():
		return loader{}, nil
	case len(head) == 0:
		return loader{}, fmt.Errorf("the file is empty: %w", unix.ENOEXEC)
	}
	return loader{}, fmt.Errorf("neither an ELF file nor a script with #!: %w", unix.ENOEXEC)
}

// machines are the ELF machines that each architecture's kernel executes.
func machines(arch string) []uint16 {
	if arch == "arm64" {
		return []uint16{183, 40} // EM_AARCH64, EM_ARM
	}
	return []uint16{62, 3} // EM_X86_64, EM_386
}

func parseELF(head []byte, others func() bool) (loader, error) {
	if len(head) < 52 || head[5] != 1 { // little-endian
		if others() {
			return loader{}, nil
		}
		return loader{}, fmt.Errorf("a truncated or foreign ELF file: %w", unix.ENOEXEC)
	}
	le := binary.LittleEndian
	machine, known := le.Uint16(head[18:]), false
	for _, m := range machines(runtime.GOARCH) {
		known = known || m == machine
	}
	if !known {
		if others() {
			return loader{}, nil
		}
		return loader{}, fmt.Errorf("built for another architecture (%s), this host is %s: %w", machineName(machine), runtime.GOARCH, unix.ENOEXEC)
	}
	return loader{programInterpreter(head), "ELF loader"}, nil
}

// programInterpreter finds PT_INTERP, if it lies within head.
func programInterpreter(head []byte) string {
	le := binary.LittleEndian
	is64 := head[4] == 2
	var table uint64
	var size, count int
	if is64 && len(head) >= 64 {
		table, size, count = le.Uint64(head[32:]), int(le.Uint16(head[54:])), int(le.Uint16(head[56:]))
	} else {
		table, size, count = uint64(le.Uint32(head[28:])), int(le.Uint16(head[42:])), int(le.Uint16(head[44:]))
	}
	const ptInterp = 3
	for i := range count {
		at := table + uint64(i*size)
		if size < 32 || at > uint64(len(head)) || at+uint64(size) > uint64(len(head)) {
			return ""
		}
		h := head[at:]
		if le.Uint32(h) != ptInterp {
			continue
		}
		offset, length := uint64(le.Uint32(h[4:])), uint64(le.Uint32(h[16:]))
		if is64 {
			if size < 56 {
				return ""
			}
			offset, length = le.Uint64(h[8:]), le.Uint64(h[32:])
		}
		if length > 4096 || offset > uint64(len(head)) || offset+length > uint64(len(head)) {
			return ""
		}
		return string(bytes.TrimRight(head[offset:offset+length], "\x00"))
	}
	return ""
}

func machineName(m uint16) string {
	names := map[uint16]string{3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64"}
	if n := names[m]; n != "" {
		return n
	}
	return fmt.Sprintf("ELF machine %d", m)
}

// otherFormats says whether binfmt_misc knows formats beside ELF and scripts.
func otherFormats() bool {
	list, err := os.ReadDir("/proc/sys/fs/binfmt_misc")
	return err == nil && len(list) > 2 // "register" and "status"
}
