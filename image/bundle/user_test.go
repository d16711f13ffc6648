// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/internal/inroot"
)

const hostilePasswd = `# comment:x:5:5::/:
+nis:x:6:6::/:
-nis:x:6:6::/:
+
short:x:7
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:App:/home/app:/bin/sh
app:x:0:0:second:/:/bin/sh
4242:x:0:0:digits:/:/bin/sh
big:x:4294967296:0::/:
over:x:2147483648:0::/:
max:x:2147483647:2147483647::/:
neg:x:-1:0::/:
word:x:zero:0::/:
empty:x::::/:
badgid:x:7000:x::/home:
nohome:x:8:8
relhome:x:9:9::home:/bin/sh
 spaced:x:10:10::/:
colons:x:11:11::/a:b:c:d
twice:x:12:12::/:
`

const hostileGroup = `# comment:x:5:app
root:x:0:root
app:x:1001:
staff:x:50:root,app,other
dup:x:50:app
apple:x:51:apple, app
audio:x:29:app
1234:x:77:
bad:x:99999999999:twice
+nis:x:6:app
primary:x:1001:app
nomembers:x:3
`

func TestLookupUser(t *testing.T) {
	root, _ := newRoot(t, map[string]string{"etc/passwd": hostilePasswd, "etc/group": hostileGroup})
	for _, c := range []struct{ user, want string }{
		{"", "0:0 [] /root"},
		{"0", "0:0 [] /root"},
		{"root", "0:0 [50] /root"},
		{"app", "1000:1001 [50 29] /home/app"},
		{"app:", "1000:1001 [50 29] /home/app"},
		{"app:staff", "1000:50 [] /home/app"},
		{"app:7", "1000:7 [] /home/app"},
		{"app:1234", "1000:1234 [] /home/app"},
		{"1000", "1000:1001 [] /home/app"},
		{"1000:", "1000:1001 [] /home/app"},
		{"1000:audio", "1000:29 [] /home/app"},
		{"01000", "1000:1001 [] /home/app"},
		{"555", "555:0 [] "},
		{"555:666", "555:666 [] "},
		{"4242", "4242:0 [] "},
		{"0:0", "0:0 [] /root"},
		{"max", "2147483647:2147483647 [] /"},
		{"2147483647:2147483647", "2147483647:2147483647 [] /"},
		{"nohome", "8:8 [] "},
		{"relhome", "9:9 [] "},
		{"spaced", "10:10 [] /"},
		{"colons", "11:11 [] /a"},

		{":0", `user ":0": there is a group and no user`},
		{":", `user ":": there is a group and no user`},
		{"a:b:c", `user "a:b:c": want USER or USER:GROUP`},
		{"nobody", `user "nobody": there is no such name in the image's /etc/passwd (hint: --user with a number)`},
		{"app:nogroup", `user "app:nogroup": there is no group "nogroup" in the image's /etc/group`},
		{"2147483648", `user "2147483648": id 2147483648 is not in the range 0 to 2147483647`},
		{"4294967296", `user "4294967296": id 4294967296 is not in the range 0 to 2147483647`},
		{"99999999999999999999999", `user "99999999999999999999999": id 99999999999999999999999 is not in the range 0 to 2147483647`},
		{"0:4294967296", `user "0:4294967296": id 4294967296 is not in the range 0 to 2147483647`},
		{"-1", `user "-1": "-1" is no id: it has a sign`},
		{"+0", `user "+0": "+0" is no id: it has a sign`},
		{"0:-1", `user "0:-1": "-1" is no id: it has a sign`},
		{"+nis", `user "+nis": there is no such name in the image's /etc/passwd (hint: --user with a number)`},
		{"short", `user "short": there is no such name in the image's /etc/passwd (hint: --user with a number)`},
		{"big", `user "big": /etc/passwd: "big": id 4294967296 is not in the range 0 to 2147483647`},
		{"over", `user "over": /etc/passwd: "over": id 2147483648 is not in the range 0 to 2147483647`},
		{"neg", `user "neg": /etc/passwd: "neg": "-1" is no id: it has a sign`},
		{"word", `user "word": /etc/passwd: "word": "zero" is no id`},
		{"empty", `user "empty": /etc/passwd: "empty": "" is no id`},
		{"badgid", `user "badgid": /etc/passwd: "badgid": "x" is no id`},
		{"7000", `user "7000": /etc/passwd: "badgid": "x" is no id`},
		{"twice", `user "twice": /etc/group: "bad": id 99999999999 is not in the range 0 to 2147483647`},
	} {
		uid, gid, groups, home, err := LookupUser(root, c.user)
		got := fmt.Sprintf("%d:%d %v %s", uid, gid, groups, home)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("LookupUser(%q) = %s, want %s", c.user, got, c.want)
		}
	}
}

// TestDatabaseIsHostile: what the image put in place of passwd must neither lead
// to the host's file nor block.
func TestDatabaseIsHostile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(outside, []byte("app:x:4:4::/:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := func(target string) func(string) error {
		return func(at string) error { return os.Symlink(target, at) }
	}
	missing := `there is no such name in the image's /etc/passwd (hint: --user with a number)`
	refused := `cannot read "/etc/passwd" in the root: `
	for _, c := range []struct {
		name string
		make func(at string) error
		want string
	}{
		{"absolute link out", link(outside), missing},
		{"relative link out", link("../../../../../../../../../../.." + outside), missing},
		{"link inside", link("/real/passwd"), ""},
		{"link to a device of the host", link("/dev/zero"), missing},
		{"loop", link("passwd"), refused + "too many levels of symbolic links"},
		{"fifo", func(at string) error { return unix.Mkfifo(at, 0o644) }, refused + "not a regular file"},
		{"directory", func(at string) error { return os.Mkdir(at, 0o755) }, refused + "is a directory"},
		{"huge", func(at string) error {
			if err := os.WriteFile(at, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(at, maxDatabase+1)
		}, refused + "file too large"},
		{"long line", func(at string) error {
			return os.WriteFile(at, []byte(strings.Repeat("x", 1<<20)+"\napp:x:3:3::/:\n"), 0o644)
		}, ""},
		{"none", func(string) error { return nil }, missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, dir := newRoot(t, map[string]string{"etc/group": "", "real/passwd": "app:x:3:3::/:\n"})
			if err := c.make(filepath.Join(dir, "etc/passwd")); err != nil {
				t.Fatal(err)
			}
			uid, _, _, _, err := LookupUser(root, "app")
			if c.want == "" && (err != nil || uid != 3) {
				t.Errorf("got %d, %v; want 3", uid, err)
			}
			if c.want != "" && (err == nil || err.Error() != `user "app": `+c.want) {
				t.Errorf("got %d, %v; want %s", uid, err, c.want)
			}
		})
	}
}

func TestGroupIsHostile(t *testing.T) {
	root, dir := newRoot(t, map[string]string{"etc/passwd": testPasswd})
	if err := unix.Mkfifo(filepath.Join(dir, "etc/group"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"app", "app:staff", "1:staff"} {
		if _, _, _, _, err := LookupUser(root, user); err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
			t.Errorf("LookupUser(%q): %v, want a refusal of the fifo", user, err)
		}
	}
	if uid, gid, _, _, err := LookupUser(root, "7:8"); err != nil || uid != 7 || gid != 8 {
		t.Errorf("numbers need no group file: %d:%d, %v", uid, gid, err)
	}
}

func FuzzLookupUser(f *testing.F) {
	f.Add(hostilePasswd, hostileGroup, "app:staff")
	f.Add(testPasswd, testGroup, "root")
	f.Add("a:::::", "", "4294967296:x")
	dir := f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		f.Fatal(err)
	}
	root, err := inroot.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	f.Fuzz(func(t *testing.T, passwd, group, user string) {
		for name, data := range map[string]string{"passwd": passwd, "group": group} {
			if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		uid, gid, groups, home, err := LookupUser(root, user)
		if err != nil {
			if uid != 0 || gid != 0 || groups != nil || home != "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("an error with a result: %d:%d %v %q, %v", uid, gid, groups, home, err)
			}
			return
		}
		if uid > maxID || gid > maxID || home != "" && home[0] != '/' {
			t.Errorf("LookupUser(%q) = %d:%d, home %q", user, uid, gid, home)
		}
		// Nobody becomes root who is not said to be.
		if uid == 0 && user != "" && strings.Trim(strings.Split(user, ":")[0], "0") != "" && !strings.Contains(passwd, ":0") {
			t.Errorf("LookupUser(%q) = root, with %q", user, passwd)
		}
	})
}
