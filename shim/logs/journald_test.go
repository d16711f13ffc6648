// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// record is a decoded message of the journal's native protocol.
type record map[string]string

// journalSocketAt listens at path, as journald does.
func journalSocketAt(t *testing.T, path string) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// receive returns all records that are there, and how many came as a memfd.
func receive(t *testing.T, fd int) (records []record, memfds int) {
	t.Helper()
	buf, oob := make([]byte, 1<<20), make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			return records, memfds
		}
		data := buf[:n]
		if oobn > 0 {
			memfds++
			data = readSealed(t, oob[:oobn])
		}
		records = append(records, decode(t, string(data)))
	}
}

func readSealed(t *testing.T, oob []byte) []byte {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "memfd")
	defer f.Close()
	const want = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals != want {
		t.Errorf("seals = %#x, %v, want %#x", seals, err, want)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t *testing.T, data string) record {
	t.Helper()
	r := record{}
	for data != "" {
		line, rest, ok := strings.Cut(data, "\n")
		key, value, short := strings.Cut(line, "=")
		if !short {
			if len(rest) < 8 {
				t.Fatalf("record ends within field %q", key)
			}
			size := binary.LittleEndian.Uint64([]byte(rest))
			value, rest, ok = rest[8:8+size], rest[9+size:], rest[8+size] == '\n'
		}
		if _, twice := r[key]; !ok || twice {
			t.Fatalf("field %q is twice there, or has no end", key)
		}
		r[key], data = value, rest
	}
	return r
}

func TestJournalRecords(t *testing.T) {
	full := strings.Repeat("x", partialMax-1)
	type fields = record
	cases := []struct {
		name   string
		o      Options
		chunks []chunk
		want   []record // beside the two ids
	}{
		{"two streams", Options{}, []chunk{{Stdout, "out\n"}, {Stderr, "err\n"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "out", "PRIORITY": "6"},
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "err", "PRIORITY": "3"}}},
		{"name", Options{Name: "web"}, []chunk{{Stdout, "a\n"}}, []record{
			{"SYSLOG_IDENTIFIER": "web", "CONTAINER_NAME": "web", "MESSAGE": "a", "PRIORITY": "6"}}},
		{"tag before name", Options{Name: "web", Tag: "tag"}, []chunk{{Stdout, "a\n"}}, []record{
			{"SYSLOG_IDENTIFIER": "tag", "CONTAINER_NAME": "web", "CONTAINER_TAG": "tag", "MESSAGE": "a", "PRIORITY": "6"}}},
		{"labels", Options{Labels: []string{"A_1=b=c", "B=two\nlines"}}, []chunk{{Stdout, "\n"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "A_1": "b=c", "B": "two\nlines", "MESSAGE": "", "PRIORITY": "6"}}},
		{"priority", Options{}, []chunk{{Stdout, "<4>warn\n<8>no\n<1\n"}, {Stderr, "<7>debug\n"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "warn", "PRIORITY": "4"},
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "<8>no", "PRIORITY": "6"},
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "<1", "PRIORITY": "6"},
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "debug", "PRIORITY": "7"}}},
		{"line in two reads is one record", Options{}, []chunk{{Stdout, "<2>a"}, {Stderr, "e\n"}, {Stdout, "<3>b\nc\n"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "e", "PRIORITY": "3"},
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "a<3>b", "PRIORITY": "2"},
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "c", "PRIORITY": "6"}}},
		{"long line has parts of one priority", Options{}, []chunk{{Stdout, "<2>" + full}, {Stdout, "yz"}, {Stdout, "<4>\n"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": full + "yz", "PRIORITY": "2", "CONTAINER_PARTIAL_MESSAGE": "true"},
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "<4>", "PRIORITY": "2"}}},
		{"end without newline", Options{}, []chunk{{Stderr, "end"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "end", "PRIORITY": "3", "CONTAINER_PARTIAL_MESSAGE": "true"}}},
		{"no partial field", Options{NoPartial: true}, []chunk{{Stderr, "end"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "end", "PRIORITY": "3"}}},
		{"global limit", Options{GlobalSizeMax: 3}, []chunk{{Stdout, "ab\ncd\ne\n"}}, []record{
			{"SYSLOG_IDENTIFIER": cid[:12], "MESSAGE": "ab", "PRIORITY": "6"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "socket")
			fd := journalSocketAt(t, path)
			c.o.CID = cid
			s := openSet(t, c.o, Target{Journald, path})
			write(s, c.chunks...)
			closeSet(t, s)
			got, _ := receive(t, fd)
			for _, want := range c.want {
				want["CONTAINER_ID_FULL"], want["CONTAINER_ID"] = cid, cid[:12]
			}
			if !slices.EqualFunc(got, c.want, maps.Equal[fields, fields]) {
				t.Errorf("records = %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestJournalTakesLargeLinesByMemfd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd := journalSocketAt(t, path)
	s := openSet(t, Options{CID: cid}, Target{Journald, path})
	large := strings.Repeat("0123456789abcdef", 20<<20/16) // more than the socket's buffer can be
	before := openFDs(t)
	write(s, chunk{Stdout, large + "\n"}, chunk{Stdout, "small\n"})
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors open, want %d", after, before)
	}
	got, memfds := receive(t, fd)
	if len(got) != 2 || memfds != 1 {
		t.Fatalf("%d records, %d of them by memfd, want 2 and 1", len(got), memfds)
	}
	if got[0]["MESSAGE"] != large || got[0]["PRIORITY"] != "6" || got[1]["MESSAGE"] != "small" {
		t.Errorf("MESSAGE has %d bytes, want %d; then %q", len(got[0]["MESSAGE"]), len(large), got[1]["MESSAGE"])
	}
}

func TestJournalThatIsAwayLosesCountedBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	var warned []string
	s := openSet(t, Options{CID: cid, Warn: func(s string) { warned = append(warned, s) }}, Target{Journald, path})
	write(s, chunk{Stdout, "lost\nlost\n"})
	fd := journalSocketAt(t, path)
	write(s, chunk{Stdout, "back\n"})
	got, _ := receive(t, fd)
	var messages []string
	for _, r := range got {
		messages = append(messages, r["PRIORITY"]+" "+r["MESSAGE"])
	}
	if want := []string{"4 berth-monitor: 10 bytes of log lost: no such file or directory", "6 back"}; !slices.Equal(messages, want) {
		t.Errorf("messages = %q, want %q", messages, want)
	}
	want := []string{
		"cannot write to the journal, output is dropped until that is possible: no such file or directory",
		"10 bytes lost on the way to the journal: no such file or directory",
	}
	if !slices.Equal(warned, want) {
		t.Errorf("warnings = %q, want %q", warned, want)
	}
}

// A journal that reads nothing costs the container one timeout, not one per line.
func TestJournalThatIsStuckDoesNotStopTheContainer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd := journalSocketAt(t, path)
	var warned []string
	s := openSet(t, Options{CID: cid, Warn: func(s string) { warned = append(warned, s) }}, Target{Journald, path})
	const lines = 20000 // at half a second each this would not end
	write(s, chunk{Stdout, strings.Repeat("x\n", lines)})
	first, _ := receive(t, fd)
	write(s, chunk{Stdout, "back\n"})
	last, _ := receive(t, fd)
	if len(last) != 2 || last[1]["MESSAGE"] != "back" {
		t.Fatalf("last records = %q, want a notice and a line", last)
	}
	notice := fmt.Sprintf("berth-monitor: %d bytes of log lost: resource temporarily unavailable", 2*(lines-len(first)))
	if got := last[0]["MESSAGE"]; got != notice {
		t.Errorf("notice = %q, want %q", got, notice)
	}
	if len(warned) != 2 {
		t.Errorf("warnings = %q, want 2", warned)
	}
}

func TestJournalSocketPathTooLong(t *testing.T) {
	path := "/" + strings.Repeat("x", unixPathMax)
	_, err := Open([]Target{{Journald, path}}, Options{CID: cid})
	if want := fmt.Sprintf("cannot open journal %q: file name too long", path); err == nil || err.Error() != want {
		t.Errorf("Open = %v, want %s", err, want)
	}
}
