// SPDX-License-Identifier: Apache-2.0

package device

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

// configured reads linux.resources.devices.
func configured(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	var r specs.LinuxResources
	if err := json.Unmarshal([]byte(text), &r.Devices); err != nil {
		t.Fatal(err)
	}
	return &r
}

func compiled(t *testing.T, text string) Program {
	t.Helper()
	rules, err := Rules(configured(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return mustCompile(t, rules)
}

func TestPrograms(t *testing.T) {
	golden(t, "defaults", compiled(t, `[]`).String())
	for name, text := range map[string]string{
		"all-but": `[{"allow":true,"type":"a"},{"allow":false,"type":"b","major":8,"access":"w"},
			{"allow":true,"type":"b","major":8,"minor":1},{"allow":true,"type":"c","major":4}]`,
		"hole": `[{"allow":true,"type":"c","major":10,"access":"rw"},{"allow":false,"type":"c","major":10,"minor":5,"access":"w"},
			{"allow":false,"type":"b","minor":4294967295},{"allow":true,"major":4294967295,"access":"m"}]`,
		"covered": `[{"allow":true,"type":"c","major":9,"minor":1,"access":"rw"},{"allow":true,"type":"c","major":9,"access":"r"},
			{"allow":false,"type":"c","major":9,"minor":2},{"allow":false,"type":"c","major":9,"access":"w"}]`,
	} {
		rules, err := Rules(configured(t, text))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, mustCompile(t, rules[:len(rules)-len(defaults)]).String())
	}
}

func TestWhatIsBeforeARuleForAllDoesNotMatter(t *testing.T) {
	docker := compiled(t, `[{"allow":true,"type":"c","major":9,"access":"r"},{"allow":false,"access":"rwm"}]`)
	if got, want := docker.String(), compiled(t, `[]`).String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRulesThatChangeNothingNeedNoProgram(t *testing.T) {
	for text, want := range map[string]bool{
		`[]`:                           false,
		`[{"allow":true,"type":"a"}]`:  true,
		`[{"allow":true}]`:             true,
		`[{"allow":false,"type":"a"}]`: false,
		`[{"allow":true,"type":"a"},{"allow":true,"type":"b","major":8}]`:                                             true,
		`[{"allow":true,"type":"a"},{"allow":false,"type":"b","major":8}]`:                                            false,
		`[{"allow":true,"type":"a"},{"allow":false,"type":"b","major":8},{"allow":true,"type":"b"}]`:                  true,
		`[{"allow":true,"type":"a"},{"allow":false,"type":"b","major":8},{"allow":true,"type":"b","access":"rm"}]`:    false,
		`[{"allow":true,"type":"a"},{"allow":false,"type":"c","major":1,"minor":3}]`:                                  true, // a default device
		`[{"allow":true,"type":"a"},{"allow":false,"type":"c","access":"m"},{"allow":false,"type":"b","access":"m"}]`: true, // defaults
	} {
		if got := compiled(t, text).AllowsAll(); got != want {
			t.Errorf("%s: AllowsAll is %v, want %v", text, got, want)
		}
	}
	if Program(nil).AllowsAll() {
		t.Error("a program that is missing allows all")
	}
}

func TestEncoding(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		t.Skip("the bytes below are little endian")
	}
	p := Program{{Op: opLoad, Dst: 4, Src: 1, Off: 8}, {Op: opIfNot, Dst: 4, Off: 258, Imm: -2}, {Op: opExit}}
	want := "61 14 08 00 00 00 00 00 56 04 02 01 fe ff ff ff 95 00 00 00 00 00 00 00"
	if got := fmt.Sprintf("% x", p.Bytes()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBadRulesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`[{"allow":true,"type":"x"}]`:                                           `linux.resources.devices[0].type: invalid device type "x"`,
		`[{"allow":true,"type":"p","major":1}]`:                                 `linux.resources.devices[0].type: invalid device type "p"`,
		`[{"allow":true,"type":"a","access":"rwm"},{"type":"c","access":"rx"}]`: `linux.resources.devices[1].access: invalid access "rx"`,
		`[{"allow":true,"access":"\u00e9"}]`:                                    `linux.resources.devices[0].access: invalid access "é"`,
		`[{"type":"c","major":-2}]`:                                             `linux.resources.devices[0]: invalid device number -2:-1`,
		`[{"type":"b","major":1,"minor":4294967296}]`:                           `linux.resources.devices[0]: invalid device number 1:4294967296`,
	} {
		_, err := Rules(configured(t, text))
		var field *limit.FieldError
		if !errors.As(err, &field) || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// distinct are rules of which each one matters.
func distinct(n int) List {
	var rules List
	for i := range n {
		rules = append(rules, Rule{Allow: true, Kind: 'c', Major: int64(i), Minor: int64(i), Access: Read})
	}
	return rules
}

// maxDistinct is how many such rules a program has place for.
const maxDistinct = (maxInsns - 9) / 7

func TestTooManyRulesAreRefused(t *testing.T) {
	if p, err := Compile(distinct(maxDistinct)); err != nil || len(p) > maxInsns {
		t.Errorf("%d instructions, %v", len(p), err)
	}
	_, err := Compile(distinct(maxDistinct + 1))
	want := "linux.resources.devices: too many rules: the eBPF program has 8199 instructions, and 8192 are possible"
	var field *limit.FieldError
	if !errors.As(err, &field) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
