// SPDX-License-Identifier: Apache-2.0

package options

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMessagesAreConmons(t *testing.T) {
	for _, c := range []struct {
		message Message
		want    string
	}{
		{Message{KeyData, 4711, ""}, `{"data": 4711}`},
		{Message{KeyPID, -1, "no \"rt\" \\ here\n\ttoo\x01\xff\x7fé"}, `{"pid": -1, "message": "no \"rt\" \\ here\n\ttoo\u0001` + "\ufffd" + `\u007fé"}`},
		{Message{KeyExitCode, -1, TimedOut}, `{"exit_code": -1, "message": "command timed out"}`},
	} {
		if got := string(c.message.Encode()); got != c.want+"\n" {
			t.Errorf("message = %q, want %q", got, c.want)
		}
	}
}

func TestMessageKey(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "pid"}, {Options{Exec: true}, "exit_code"}, {Options{APIVersion: 1}, "data"}, {Options{APIVersion: 1, Exec: true}, "data"},
	} {
		if got := c.o.MessageKey().String(); got != c.want {
			t.Errorf("key = %q, want %q", got, c.want)
		}
	}
}

func TestLongMessageIsCutAfterACharacter(t *testing.T) {
	for _, piece := range []string{"x", "é", "€", "\x00", `"`, "\xff", "ab€"} {
		for shift := range 8 {
			text := strings.Repeat("s", shift) + strings.Repeat(piece, 8192)
			got := checkEncoded(t, Message{KeyExitCode, -1, text})
			if !strings.HasPrefix(strings.ToValidUTF8(text, "\ufffd"), strings.TrimRight(got, "\ufffd")) || len(got) < 600 {
				t.Errorf("%q after %d: text became %d other bytes", piece, shift, len(got))
			}
		}
	}
	// Exactly full is not cut, one more is.
	room := maxMessage - len(`{"data": 0, "message": ""}`+"\n")
	for _, n := range []int{room - 1, room, room + 1} {
		if got := len(checkEncoded(t, Message{Text: strings.Repeat("x", n)})); got != min(n, room) {
			t.Errorf("%d bytes of %d were kept", got, n)
		}
	}
}

// checkEncoded checks the form of a message and returns the text a reader gets.
func checkEncoded(t *testing.T, m Message) string {
	t.Helper()
	line := m.Encode()
	if len(line) >= 4096 || strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' || !utf8.Valid(line) {
		t.Fatalf("not one line of UTF-8 below 4096 bytes: %q", line)
	}
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	if got[m.Key.String()] != float64(m.Value) {
		t.Fatalf("value = %v, want %d", got[m.Key.String()], m.Value)
	}
	text, _ := got["message"].(string)
	return text
}

func FuzzMessage(f *testing.F) {
	f.Add(uint8(0), int32(-1), "a\x00\"\\\xff€")
	f.Add(uint8(2), int32(137), strings.Repeat("\xf0\x9f\x98\x80", 1100))
	f.Fuzz(func(t *testing.T, key uint8, value int32, text string) {
		got := checkEncoded(t, Message{Key(key), int(value), text})
		if len(text) < 600 && got != string([]rune(text)) {
			t.Errorf("text = %q, want %q", got, text)
		}
	})
}

func TestControlLines(t *testing.T) {
	for _, c := range []struct {
		line string
		want Control
		err  string
	}{
		{"1 40 80\n", Control{Height: 40, Width: 80}, ""},
		{"1 0 1000", Control{Height: 0, Width: 1000}, ""},
		{"\t1  040 80 \n", Control{Height: 40, Width: 80}, ""},
		{"2 0 0\n", Control{Reopen: true}, ""},
		{"2 1 0\n", Control{}, `"2 1 0\n" is not an order`},
		{"3 0 0\n", Control{}, `"3 0 0\n" is not an order`},
		{"0 40 80\n", Control{}, `"0 40 80\n" is not an order`},
		{"1 40 1001\n", Control{}, `"1 40 1001\n": number above 1000`},
		{"1 99999999999999999999 1\n", Control{}, `"1 99999999999999999999 1\n": number above 1000`},
		{"1 -40 80\n", Control{}, `"1 -40 80\n": not a decimal number`},
		{"1 +40 80\n", Control{}, `"1 +40 80\n": not a decimal number`},
		{"1 0x28 80\n", Control{}, `"1 0x28 80\n": not a decimal number`},
		{"1 4e1 80\n", Control{}, `"1 4e1 80\n": not a decimal number`},
		{"1 40.0 80\n", Control{}, `"1 40.0 80\n": not a decimal number`},
		{"1 40 80\r\n", Control{}, `"1 40 80\r\n": not a decimal number`},
		{"1 40 80\x00\n", Control{}, `"1 40 80\x00\n": not a decimal number`},
		{"1 40\n", Control{}, `"1 40\n" has 2 fields, not 3`},
		{"1 40 80 1\n", Control{}, `"1 40 80 1\n" has 4 fields, not 3`},
		{"\n", Control{}, `"\n" has 0 fields, not 3`},
		{"", Control{}, `"" has 0 fields, not 3`},
		{"1 40 80\n\n", Control{}, `"1 40 80\n\n": not a decimal number`},
		{"1 40 80" + strings.Repeat(" ", 192) + "\n", Control{Height: 40, Width: 80}, ""},
		{"1 40 80" + strings.Repeat(" ", 193) + "\n", Control{}, "line is longer than 200 bytes"},
	} {
		got, err := ParseControl([]byte(c.line))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || strings.TrimPrefix(text, "cannot parse control line: ") != c.err {
			t.Errorf("%q: %+v, %q; want %+v, %q", c.line, got, text, c.want, c.err)
		}
	}
}

func TestWindowLines(t *testing.T) {
	for line, want := range map[string]string{
		"24 80\n":  "24 80 <nil>",
		"0 1000":   "0 1000 <nil>",
		"24\n":     `0 0 cannot parse window size: "24\n" has 1 fields, not 2`,
		"-1 80\n":  `0 0 cannot parse window size: "-1 80\n": not a decimal number`,
		"24 1001 ": `0 0 cannot parse window size: "24 1001 ": number above 1000`,
	} {
		height, width, err := ParseWindow([]byte(line))
		if got := fmt.Sprint(height, width, err); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func TestLinesAreCutHoweverTheyAreRead(t *testing.T) {
	long := strings.Repeat("9", MaxLine)
	input := "1 2 3\n\n" + long + "\n" + long + long + "\n" + strings.Repeat("7", MaxLine-1) + "\n2 0 0\nbegun"
	want := []string{"1 2 3\n", "\n", long + "\n", long + "9", strings.Repeat("7", MaxLine-1) + "\n", "2 0 0\n"}
	for _, size := range []int{1, 2, 7, 200, len(input)} {
		var lines Lines
		var got []string
		for rest := input; rest != ""; {
			n := min(size, len(rest))
			lines.Feed([]byte(rest[:n]), func(line []byte) { got = append(got, string(line)) })
			rest = rest[n:]
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read by %d: %q\nwant %q", size, got, want)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add([]byte("1 40 80\n"))
	f.Add([]byte("2 0 0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ParseControl(line)
		if err != nil && c != (Control{}) || c.Height > maxDimension || c.Width > maxDimension {
			t.Errorf("%q: %+v, %v", line, c, err)
		}
		var lines Lines
		lines.Feed(line, func(l []byte) {
			if len(l) > MaxLine+1 {
				t.Errorf("line of %d bytes", len(l))
			}
		})
	})
}

func TestOnlyKnownNotificationsLeave(t *testing.T) {
	for sent, want := range map[string]string{
		"READY=1":         "READY=1\n",
		"READY=1\n":       "READY=1\n",
		"READY=12\nX=1":   "",
		" READY=1\nREADY": "",
		"MAINPID=1\nSTATUS=50 %\nFDSTORE=1\nWATCHDOG=trigger\nWATCHDOG_USEC=1\nERRNO=2\nBUSERROR=a\nMONOTONIC_USEC=3\nRELOADING=1\nSTOPPING=1\nWATCHDOG=1": "STATUS=50 %\nWATCHDOG=trigger\nERRNO=2\nBUSERROR=a\nMONOTONIC_USEC=3\nRELOADING=1\nSTOPPING=1\nWATCHDOG=1\n",
		"": "",
	} {
		if got := string(FilterNotify([]byte(sent))); got != want {
			t.Errorf("%q became %q, want %q", sent, got, want)
		}
	}
}
