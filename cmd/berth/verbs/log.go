// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
)

// logger writes the lines that engines read. Its form is theirs, so this is
// not log/slog: containerd decodes the whole file and takes the last error.
type logger struct {
	fd    int
	json  bool
	level int
	// mirror says that the log is elsewhere, so that errors go to stderr too:
	// conmon shows what is there.
	mirror bool
	stderr *os.File
	now    func() time.Time
}

var levels = map[string]int{"error": 0, "warning": 1, "info": 2, "debug": 3}

func stderrOnly(stderr *os.File) *logger {
	return &logger{fd: int(stderr.Fd()), level: levels["error"], stderr: stderr, now: time.Now}
}

func openLog(g *global, stderr *os.File) (*logger, error) {
	l := stderrOnly(stderr)
	switch g.logFormat {
	case "text":
	case "json":
		l.json = true
	default:
		return nil, fmt.Errorf("invalid log-format: %s", g.logFormat)
	}
	if g.logPath != "" {
		l.level = levels[g.logLevel]
		if err := l.open(g.logPath); err != nil {
			return nil, err
		}
	}
	// Without --log warnings are for nobody: what an engine finds on stderr of
	// a command that worked ends up among a user's build steps.
	if g.debug {
		l.level = levels["debug"]
	}
	return l, nil
}

func (l *logger) open(target string) error {
	path, isFile := strings.CutPrefix(target, "file:")
	if scheme, _, ok := strings.Cut(target, ":"); ok && !isFile && (scheme == "journald" || scheme == "syslog") {
		return fmt.Errorf("cannot log to %q: only files are supported", target)
	}
	// Not an os.File: that would open the poller's descriptors too.
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC|unix.O_SYNC, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open log %q: %w", path, err)
	}
	l.fd, l.mirror = fd, true
	return nil
}

// close gives the file back, unless it is the caller's.
func (l *logger) close() {
	if l.mirror {
		_ = unix.Close(l.fd) // every line was written with O_SYNC
	}
}

// fail reports the one error of a command, after which nothing is logged any
// more, and returns the exit status.
func (l *logger) fail(err error, status int) int {
	msg := message(err)
	l.write("error", msg, fields(err))
	if l.mirror {
		fmt.Fprintln(l.stderr, msg)
	}
	return status
}

// warn logs what was ignored or degraded.
func (l *logger) warn(msg string) { l.write("warning", msg, nil) }

func (l *logger) debug(msg string) { l.write("debug", msg, nil) }

func (l *logger) write(level, msg string, extra map[string]string) {
	if levels[level] > l.level {
		return
	}
	line := textLine(level, msg, l.now())
	if l.json {
		line = jsonLine(level, msg, l.now(), extra)
	}
	// One write, so that lines of two runtimes do not mix. If it fails there
	// is nobody to tell.
	_, _ = unix.Write(l.fd, line)
}

func textLine(level, msg string, now time.Time) []byte {
	return fmt.Appendf(nil, "time=%q level=%s msg=%s\n", now.Format(time.RFC3339), level, strconv.Quote(msg))
}

// jsonLine is runc's object; engines skip keys that they do not know.
func jsonLine(level, msg string, now time.Time, extra map[string]string) []byte {
	record := map[string]string{"level": level, "msg": msg, "time": now.Format(time.RFC3339)}
	for k, v := range extra {
		record[k] = v
	}
	line, err := json.Marshal(record)
	if err != nil { // a map of strings: cannot be
		line = []byte(`{"level":"error","msg":"cannot encode a log line","time":"1970-01-01T00:00:00Z"}`)
	}
	return append(line, '\n')
}

// hinted is an error that knows what to do about it.
type hinted interface {
	error
	Hint() string
}

// message is an error's one line, with its hint.
func message(err error) string {
	msg := err.Error()
	var h hinted
	if errors.As(err, &h) && h.Hint() != "" {
		msg += "; hint: " + h.Hint()
	}
	return strings.ReplaceAll(strings.TrimRight(msg, "\n"), "\n", `\n`)
}

// fields are what the JSON log says beside the message.
func fields(err error) map[string]string {
	extra := map[string]string{}
	var h hinted
	if errors.As(err, &h) && h.Hint() != "" {
		extra["hint"] = h.Hint()
	}
	var boot *libcontainer.BootError
	if errors.As(err, &boot) {
		extra["origin"], extra["call"], extra["errno"] = boot.Origin, boot.Call, unix.ErrnoName(boot.Errno)
	}
	for k, v := range extra {
		if v == "" {
			delete(extra, k)
		}
	}
	return extra
}
