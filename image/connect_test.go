// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"testing"
)

func TestChooseNetwork(t *testing.T) {
	const rootOnly = "only root can have a network by CNI plugins (hint: --net host or --net none)"
	cases := []struct {
		net               string
		publish, rootless bool
		want              string // plain, name and error
	}{
		{net: "", want: `"none" "" <nil>`},
		{net: "", rootless: true, want: `"host" "" <nil>`},
		{net: "", publish: true, want: `"" "bridge" <nil>`},
		{net: "", publish: true, rootless: true, want: `"" "" ` + rootOnly},
		{net: "bridge", want: `"" "bridge" <nil>`},
		{net: "blue", publish: true, want: `"" "blue" <nil>`},
		{net: "blue", rootless: true, want: `"" "" ` + rootOnly},
		{net: "host", want: `"host" "" <nil>`},
		{net: "none", rootless: true, want: `"none" "" <nil>`},
		{net: "/run/netns/x", want: `"/run/netns/x" "" <nil>`},
		{net: "host", publish: true, want: `"" "" --net host publishes no ports (hint: --net bridge)`},
	}
	for _, c := range cases {
		plain, name, err := chooseNetwork(c.net, c.publish, c.rootless)
		if got := fmt.Sprintf("%q %q %v", plain, name, err); got != c.want {
			t.Errorf("%+v: %s, want %s", c, got, c.want)
		}
	}
}
