// SPDX-License-Identifier: Apache-2.0

// Package reference reads the names of images in registries: what people type,
// in full. It knows grammar only; no registry is asked.
//
//	n, err := reference.Parse("busybox")
//	n.String()   // docker.io/library/busybox:latest
//	n.Familiar() // busybox
//	n.Host()     // registry-1.docker.io
package reference

import (
	"cmp"
	_ "crypto/sha256" // go-digest panics without the hashes
	_ "crypto/sha512"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	// DockerHub is the registry of names without one.
	DockerHub = "docker.io"
	// DefaultTag is the tag of names with neither tag nor digest.
	DefaultTag = "latest"

	officialPrefix = "library/" // where Docker Hub has names of one component
	maxRepository  = 255        // bytes; distribution's limit
	maxHost        = 253        // bytes without the port; RFC 1035, 2.3.4
	maxTag         = 128        // bytes; distribution-spec, "Pulling manifests"
)

// Name is an image's name in full. It has a tag or a digest, or both, and then
// the digest says which image is meant.
type Name struct {
	Registry   string // host[:port] in lower case; DockerHub for Docker's own
	Repository string // path below the registry, as on the wire
	Tag        string
	Digest     digest.Digest
}

// Parse reads a name. As docker does, it takes the first component for a
// registry if that has a dot or a colon, or is "localhost".
func Parse(s string) (Name, error) {
	n, err := parse(s)
	if err != nil {
		return Name{}, fmt.Errorf("image name %s: %w", quote(s), err)
	}
	return n, nil
}

// ParseHost reads a registry's name alone, as login takes it.
func ParseHost(s string) (string, error) {
	host, err := parseHost(s)
	if err != nil {
		return "", fmt.Errorf("registry %s: %w", quote(s), err)
	}
	return host, nil
}

func parse(s string) (Name, error) {
	var n Name
	switch {
	case s == "":
		return n, fmt.Errorf("it is empty")
	case strings.Contains(s, "://"):
		return n, fmt.Errorf("it is a URL (hint: leave out what is before the host)")
	}
	rest, sum, pinned := strings.Cut(s, "@")
	if pinned {
		var err error
		if n.Digest, err = parseDigest(sum); err != nil {
			return n, err
		}
	}
	n.Registry = DockerHub
	if first, after, ok := strings.Cut(rest, "/"); ok && isHost(first) {
		host, err := parseHost(first)
		if err != nil {
			return n, err
		}
		n.Registry, rest = host, after
	}
	path, tag, tagged := strings.Cut(rest, ":")
	if tagged {
		if err := checkTag(tag); err != nil {
			return n, err
		}
		n.Tag = tag
	} else if !pinned {
		n.Tag = DefaultTag
	}
	if err := checkRepository(path); err != nil {
		return n, err
	}
	if n.Registry == DockerHub && !strings.Contains(path, "/") {
		if isImageID(path) {
			return n, fmt.Errorf("it looks like an image's ID, and registries have names")
		}
		path = officialPrefix + path
	}
	if len(path) > maxRepository {
		return n, fmt.Errorf("repository of %d bytes; at most %d are possible", len(path), maxRepository)
	}
	n.Repository = path
	return n, nil
}

// String is the name in full. Parse gives the same Name for it.
func (n Name) String() string { return n.Registry + "/" + n.Repository + n.suffix(n.Tag) }

// Familiar is the short form for people. Parse gives the same Name for it.
func (n Name) Familiar() string {
	path, onHub := strings.CutPrefix(n.Registry+"/"+n.Repository, DockerHub+"/")
	if onHub {
		path = strings.TrimPrefix(path, officialPrefix)
	}
	tag := n.Tag
	if tag == DefaultTag && n.Digest == "" {
		tag = ""
	}
	short := path + n.suffix(tag)
	if got, err := parse(short); err != nil || got != n {
		return n.String() // docker.io/localhost/x, or library/a/b
	}
	return short
}

func (n Name) suffix(tag string) string {
	s := ""
	if tag != "" {
		s = ":" + tag
	}
	if n.Digest != "" {
		s += "@" + n.Digest.String()
	}
	return s
}

// Host is where the registry's API is, as host[:port].
func (n Name) Host() string { return HostOf(n.Registry) }

// HostOf is Host for a registry's name.
func HostOf(registry string) string {
	if registry == DockerHub {
		return "registry-1.docker.io"
	}
	return registry
}

// Reference is what a manifest is asked for by: the digest, else the tag.
func (n Name) Reference() string { return cmp.Or(n.Digest.String(), n.Tag) }

func isHost(component string) bool {
	return component == "localhost" || strings.ContainsAny(component, ".:")
}

// parseHost gives the canonical form of HOST[:PORT].
func parseHost(s string) (string, error) {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i:]
		if n, err := strconv.ParseUint(port[1:], 10, 16); err != nil || n == 0 || port[1] == '0' {
			return "", fmt.Errorf("port %s is not one of 1 to 65535", quote(port[1:]))
		}
	}
	host = strings.ToLower(host)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if err != nil || !closed || !addr.Is6() || addr.Zone() != "" {
			return "", fmt.Errorf("host %s is not an IPv6 address in brackets", quote(host))
		}
		return "[" + addr.String() + "]" + port, nil
	}
	if len(host) > maxHost {
		return "", fmt.Errorf("host of %d bytes; at most %d are possible", len(host), maxHost)
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("host %s is not a host name (hint: IPv6 addresses are in brackets)", quote(host))
		}
	}
	if port == "" && (host == "index.docker.io" || host == "registry-1.docker.io") {
		return DockerHub, nil
	}
	return host + port, nil
}

// checkRepository holds a path against distribution-spec, "Pulling manifests":
// components of lower-case letters and digits, with single separators inside.
func checkRepository(path string) error {
	if path != strings.ToLower(path) {
		return fmt.Errorf("repository %s has upper case; registries allow lower case only", quote(path))
	}
	for component := range strings.SplitSeq(path, "/") {
		if component == "" {
			return fmt.Errorf("repository %s has an empty component", quote(path))
		}
		if strings.Trim(component, alphanumeric+"._-") != "" {
			return fmt.Errorf("repository %s: character %q is not allowed", quote(path), firstOutside(component))
		}
		if !wellSeparated(component) {
			return fmt.Errorf("repository component %s: one of . _ __ or dashes may stand between letters and digits, and nowhere else", quote(component))
		}
	}
	return nil
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"

// firstOutside is the first character that no component may have.
func firstOutside(component string) rune {
	for _, r := range component {
		if !strings.ContainsRune(alphanumeric+"._-", r) {
			return r
		}
	}
	return 0
}

// wellSeparated says whether what is between runs of letters and digits are
// the separators ".", "_", "__" and dashes.
func wellSeparated(component string) bool {
	for component != "" {
		rest := strings.TrimLeft(component, alphanumeric)
		if rest == component {
			return false // begins with a separator
		}
		component = strings.TrimLeft(rest, "._-")
		switch sep := rest[:len(rest)-len(component)]; {
		case sep == "" && component == "":
			return true
		case component == "":
			return false // ends with one
		case sep != "." && sep != "_" && sep != "__" && strings.Trim(sep, "-") != "":
			return false
		}
	}
	return false
}

// isImageID: docker takes 64 digits for the ID of a local image, everywhere.
func isImageID(path string) bool {
	return len(path) == 64 && strings.Trim(path, "0123456789abcdef") == ""
}

func checkTag(tag string) error {
	const word = alphanumeric + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	switch {
	case tag == "":
		return fmt.Errorf("the tag is empty")
	case strings.Contains(tag, "/"):
		return fmt.Errorf("tag %s has a slash", quote(tag))
	case len(tag) > maxTag:
		return fmt.Errorf("tag of %d bytes; at most %d are possible", len(tag), maxTag)
	case !strings.Contains(word, tag[:1]) || hasOutside(tag, word+".-"):
		return fmt.Errorf("tag %s: letters, digits and _ . - are allowed, and the first is no . or -", quote(tag))
	}
	return nil
}

// hasOutside says that some byte of s is not in the set.
func hasOutside(s, set string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) }) >= 0
}

func parseDigest(s string) (digest.Digest, error) {
	algorithm, encoded, ok := strings.Cut(s, ":")
	if !ok {
		return "", fmt.Errorf("digest %s: want ALGORITHM:HEX", quote(s))
	}
	a := digest.Algorithm(algorithm)
	if a != digest.SHA256 && a != digest.SHA512 {
		return "", fmt.Errorf("digest algorithm %s: there are sha256 and sha512", quote(algorithm))
	}
	if want := a.Size() * 2; len(encoded) != want {
		return "", fmt.Errorf("digest of %d digits; %s has %d", len(encoded), a, want)
	}
	if strings.Trim(encoded, "0123456789abcdef") != "" {
		return "", fmt.Errorf("digest %s: want hexadecimal digits in lower case", quote(s))
	}
	return digest.Digest(s), nil
}

// quote shows input in one line of bounded length.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
