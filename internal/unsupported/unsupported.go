// SPDX-License-Identifier: Apache-2.0

// Package unsupported is for errors that say what the host lacks.
package unsupported

import "errors"

// Error is such an error: errors.Is(err, errors.ErrUnsupported) holds. As a
// constant it costs nothing when a verb starts; fmt.Errorf does.
type Error string

func (e Error) Error() string { return string(e) + ": " + errors.ErrUnsupported.Error() }

// Unwrap returns errors.ErrUnsupported.
func (e Error) Unwrap() error { return errors.ErrUnsupported }
