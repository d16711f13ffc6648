// SPDX-License-Identifier: Apache-2.0

package logs

import "testing"

const cid = "0123456789abcdef0123"

func TestOpenRefuses(t *testing.T) {
	file, journal := Target{K8sFile, "/a"}, Target{Driver: Journald}
	for name, c := range map[string]struct {
		targets []Target
		o       Options
		want    string
	}{
		"unknown driver":          {[]Target{{"syslog", "/a"}}, Options{}, "No such log driver syslog"},
		"k8s without path":        {[]Target{{Driver: K8sFile}}, Options{}, "k8s-file requires a filename"},
		"json without path":       {[]Target{{Driver: JSONFile}}, Options{}, "json-file requires a filename"},
		"passthrough with a file": {[]Target{{Driver: Passthrough}, file}, Options{}, "passthrough cannot be combined with a log driver: there would be nothing to log"},
		"short id":                {[]Target{journal}, Options{CID: "0123456789ab"}, `container id "0123456789ab" must be longer than 12 characters for journald`},
		"label without value":     {[]Target{journal}, Options{CID: cid, Labels: []string{"A"}}, `log label "A" must be in the form K=V`},
		"label in lower case":     {[]Target{journal}, Options{CID: cid, Labels: []string{"a=b"}}, `log label "a=b": only A-Z, 0-9 and _ may be in the key`},
		"label without key":       {[]Target{journal}, Options{CID: cid, Labels: []string{"=b"}}, `log label "=b": only A-Z, 0-9 and _ may be in the key`},
		"no file to rotate to":    {[]Target{file}, Options{Rotate: true}, "log-max-files is 0, and must be at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(c.targets, c.o); err == nil || err.Error() != c.want {
				t.Errorf("Open(%q) = %v, want %s", c.targets, err, c.want)
			}
		})
	}
}
