// SPDX-License-Identifier: Apache-2.0

package state

import "errors"

// maxID is far above what a file name takes: longer is an attack.
const maxID = 1024

// What callers decide on; engines match the texts.
var (
	// ErrEmptyID says that the id is the empty string.
	ErrEmptyID = errors.New("container id cannot be empty")
	// ErrInvalidID says that the id has characters that ids must not have.
	ErrInvalidID = errors.New("invalid container ID format")
	// ErrExists says that the id is taken.
	ErrExists = errors.New("container with given ID already exists")
	// ErrNotExist says that there is no container with this id. What is left of
	// a create that was killed early is ErrIncomplete as well.
	ErrNotExist = errors.New("container does not exist")
	// ErrGarbage says that a record is no JSON of ours.
	ErrGarbage = errors.New("the record is damaged")
	// ErrIncomplete says that the id is reserved and has no record: create is
	// at its very beginning, or was killed there.
	ErrIncomplete = errors.New("container has no state record")
)

// ValidateID returns nil, ErrEmptyID or ErrInvalidID. An id is made of ASCII
// letters, digits and "_+-.", and does not begin with a dot: it names a
// directory, and those with a dot are the store's own.
func ValidateID(id string) error {
	if id == "" {
		return ErrEmptyID
	}
	if len(id) > maxID || id[0] == '.' {
		return ErrInvalidID
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '+', c == '-', c == '.':
		default:
			return ErrInvalidID
		}
	}
	return nil
}
