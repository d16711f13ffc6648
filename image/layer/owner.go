// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"encoding/binary"
	"math"
)

// owner is a uid and a gid.
type owner struct{ uid, gid uint32 }

// ownerOf reads the ids of a header. 2^32-1 is "no change" to chown(2), and
// what is above it would be cut to another id (CVE-2024-40635).
func ownerOf(h *tar.Header) (owner, error) {
	for _, id := range []int{h.Uid, h.Gid} {
		if id < 0 || int64(id) >= math.MaxUint32 {
			return owner{}, refuse("id %d is not between 0 and %d", id, uint32(math.MaxUint32-1))
		}
	}
	return owner{uint32(h.Uid), uint32(h.Gid)}, nil
}

// host maps an owner as the layer has it to the one that files get.
func (o *Options) host(w owner) (owner, error) {
	uid, ok1 := mapID(o.UIDs, w.uid)
	gid, ok2 := mapID(o.GIDs, w.gid)
	if !ok1 {
		return owner{}, refuse("uid %d is in no range of the id map (hint: /etc/subuid has an ordinary user's)", w.uid)
	}
	if !ok2 {
		return owner{}, refuse("gid %d is in no range of the id map (hint: /etc/subgid has an ordinary user's)", w.gid)
	}
	return owner{uid, gid}, nil
}

func mapID(maps []IDMap, id uint32) (uint32, bool) {
	if maps == nil {
		return id, true
	}
	for _, m := range maps {
		if id >= m.Container && id-m.Container < m.Size {
			host := uint64(m.Host) + uint64(id-m.Container)
			return uint32(host), host < math.MaxUint32
		}
	}
	return 0, false
}

// rootlessXattr keeps the owner of a file that could not be given to it; the
// convention of rootlesscontaine.rs, which umoci and PRoot know too.
const rootlessXattr = "user.rootlesscontainers"

// encode is the value of rootlessXattr: a protobuf message whose fields 1 and 2
// are uid and gid, as varints. Zeros are left out.
func (w owner) encode() []byte {
	var b []byte
	if w.uid != 0 {
		b = binary.AppendUvarint(append(b, 1<<3), uint64(w.uid))
	}
	if w.gid != 0 {
		b = binary.AppendUvarint(append(b, 2<<3), uint64(w.gid))
	}
	return b
}

// container is the reverse of host; an id that no range gives stays as it is.
func (o *Options) container(w owner) owner {
	return owner{unmapID(o.UIDs, w.uid), unmapID(o.GIDs, w.gid)}
}

func unmapID(maps []IDMap, id uint32) uint32 {
	for _, m := range maps {
		if id >= m.Host && id-m.Host < m.Size {
			return m.Container + (id - m.Host)
		}
	}
	return id
}
