// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// imageAnnotation is the prefix of conversion.md.
const imageAnnotation = "org.opencontainers.image."

// steering are the beginnings of annotations that make some runtime or engine
// do something. A label of an image must not: one such ran a command as root on
// the host (CVE-2026-53488).
var steering = []string{"org.systemd.property.", "org.criu.", "run.oci.", "io.containerd.", "io.kubernetes.", "io.podman.", "io.katacontainers.", "nerdctl/"}

// annotations are conversion.md's; labels win over what is implied, and the
// user over both.
func (b *builder) annotations() {
	img, a := b.image, map[string]string{}
	implied := func(name, value string) {
		if value != "" {
			a[imageAnnotation+name] = value
		}
	}
	implied("os", img.OS)
	implied("architecture", img.Architecture)
	implied("variant", img.Variant)
	implied("os.version", img.OSVersion)
	implied("os.features", strings.Join(img.OSFeatures, ","))
	implied("author", img.Author)
	var verbatim struct{ Created string } // a time.Time would be written otherwise
	if json.Unmarshal(img.Raw, &verbatim) == nil {
		implied("created", verbatim.Created)
	}
	implied("stopSignal", img.Config.StopSignal)
	implied("exposedPorts", strings.Join(slices.Sorted(maps.Keys(img.Config.ExposedPorts)), ","))
	for _, name := range slices.Sorted(maps.Keys(img.Config.Labels)) {
		if name == "" || slices.ContainsFunc(steering, func(s string) bool { return strings.HasPrefix(name, s) }) {
			b.warn("the image's label %q is left out: it would mean something to a runtime", name)
			continue
		}
		a[name] = img.Config.Labels[name]
	}
	implied("stopSignal", b.o.StopSignal)
	maps.Copy(a, b.o.Annotations)
	if len(a) > 0 {
		b.spec.Annotations = a
	}
}
