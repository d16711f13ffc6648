// SPDX-License-Identifier: Apache-2.0

package logs

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// format is how a file holds lines: an entry per line, which ends with the
// entry's only newline.
type format struct {
	// stamp is the part that the entries of one Write share.
	stamp func(dst []byte, stream Stream, at time.Time) []byte
	// entry holds a line, given without its newline; full: it had one.
	entry func(dst, stamp, line []byte, full bool) []byte
	// utf8 formats cannot hold a rune that is cut in two.
	utf8 bool
}

// k8sFormat is CRI's: "2026-01-02T03:04:05.000000006+01:00 stdout F text".
// conmon writes +00:00, never Z, and all nine digits.
// Source: k8s.io/cri-client pkg/logs, conmon src/ctr_logging.c.
var k8sFormat = format{stamp: k8sStamp, entry: k8sEntry}

func k8sStamp(dst []byte, stream Stream, at time.Time) []byte {
	dst = at.Local().AppendFormat(dst, "2006-01-02T15:04:05.000000000-07:00 ")
	return append(append(dst, stream.String()...), ' ')
}

func k8sEntry(dst, stamp, line []byte, full bool) []byte {
	dst = append(dst, stamp...)
	if full {
		dst = append(dst, "F "...)
	} else {
		dst = append(dst, "P "...)
	}
	return append(append(dst, line...), '\n')
}

// jsonFormat is Docker's json-file: an object per line. A partial line is one
// whose "log" does not end with a newline.
// Source: moby daemon/logger/jsonfilelog/jsonlog.
var jsonFormat = format{stamp: jsonStamp, entry: jsonEntry, utf8: true}

func jsonStamp(dst []byte, stream Stream, at time.Time) []byte {
	dst = append(dst, `","stream":"`...)
	dst = append(dst, stream.String()...)
	dst = append(dst, `","time":"`...)
	return append(at.UTC().AppendFormat(dst, time.RFC3339Nano), "\"}\n"...)
}

func jsonEntry(dst, stamp, line []byte, full bool) []byte {
	dst = appendEscaped(append(dst, `{"log":"`...), line)
	if full {
		dst = append(dst, `\n`...)
	}
	return append(dst, stamp...)
}

// appendEscaped appends text as the inside of a JSON string, escaping what
// encoding/json and Docker escape. What is not UTF-8 becomes U+FFFD.
func appendEscaped(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	from := 0
	for i := 0; i < len(text); {
		c, size := rune(text[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(text[i:])
		}
		invalid := c == utf8.RuneError && size == 1
		if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != '\u2028' && c != '\u2029' && !invalid {
			i += size
			continue
		}
		dst = append(dst, text[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', byte(c))
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15])
		}
		i += size
		from = i
	}
	return append(dst, text[from:]...)
}

// nextLine splits p after its first newline, which line does not contain; full
// is false if there is none.
func nextLine(p []byte) (line, rest []byte, full bool) {
	return bytes.Cut(p, []byte{'\n'})
}

// afterLines is the length of the first k lines of p, newlines included.
func afterLines(p []byte, k int) int {
	n := 0
	for ; k > 0; k-- {
		i := bytes.IndexByte(p[n:], '\n')
		if i < 0 {
			return len(p)
		}
		n += i + 1
	}
	return n
}

// openRune is the number of bytes at the end of p that begin a rune and do not
// finish it.
func openRune(p []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if tail := p[len(p)-i:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return i
		}
	}
	return 0
}

// priorityPrefix reads sd-daemon(3)'s "<N>" at the beginning of a line, N from
// 0 to 7, into N as a string.
func priorityPrefix(line []byte, otherwise string) (text []byte, priority string) {
	if len(line) >= 3 && line[0] == '<' && '0' <= line[1] && line[1] <= '7' && line[2] == '>' {
		return line[3:], strconv.Itoa(int(line[1] - '0'))
	}
	return line, otherwise
}
