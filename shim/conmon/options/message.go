// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Key is the name of the number in a message.
type Key uint8

// The keys of messages: KeyData with --api-version, the others without it.
const (
	KeyData     Key = iota // "data": a pid, an exit status, or 0 on the attach pipe
	KeyPID                 // "pid" of a container
	KeyExitCode            // "exit_code" of an exec
)

// String is the key as the message spells it.
func (k Key) String() string {
	switch k {
	case KeyPID:
		return "pid"
	case KeyExitCode:
		return "exit_code"
	}
	return "data"
}

// MessageKey is the key that the reader of o's sync pipe expects, also in
// messages about failure. The attach pipe always takes KeyData.
func (o Options) MessageKey() Key {
	switch {
	case o.APIVersion >= 1:
		return KeyData
	case o.Exec:
		return KeyExitCode
	}
	return KeyPID
}

// Message is what a monitor tells its caller on the sync or attach pipe: a pid,
// an exit status, or -1 with the reason in Text.
type Message struct {
	Key   Key
	Value int
	Text  string // "" for none
}

// TimedOut is the Text, with Value -1, for an exec that --timeout ended.
const TimedOut = "command timed out"

// maxMessage is the longest message, newline included: Podman reads a packet
// into 4096 bytes and would not see the rest of a longer one.
const maxMessage = 4095

// Encode is the message as one line of JSON with its newline, always below 4096
// bytes, to be written by one write(2). Text that does not fit is cut after a
// whole character; bytes that are not UTF-8 become U+FFFD.
func (m Message) Encode() []byte {
	b := make([]byte, 0, 64)
	b = append(b, `{"`+m.Key.String()+`": `...)
	b = strconv.AppendInt(b, int64(m.Value), 10)
	if m.Text != "" {
		b = append(b, `, "message": "`...)
		b = appendEscaped(b, m.Text, maxMessage-len("\"}\n"))
		b = append(b, '"')
	}
	return append(b, "}\n"...)
}

// appendEscaped appends as much of text, escaped, as keeps b within limit bytes.
func appendEscaped(b []byte, text string, limit int) []byte {
	for _, r := range text { // an invalid byte is a RuneError
		end := len(b)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < ' ' || r == 0x7f:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
		if len(b) > limit {
			return b[:end]
		}
	}
	return b
}
