// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"fmt"
	"regexp"

	"berth/libcontainer"
)

// each calls f for all containers whose id matches somewhere, as crun does,
// and joins the errors: one container must not keep the others.
func each(e *env, pattern string, f func(id string, c *libcontainer.Container) error) error {
	re, err := regexp.CompilePOSIX(pattern)
	if err != nil {
		return fmt.Errorf("--regex: %w", err)
	}
	root, err := e.global.stateRoot()
	if err != nil {
		return err
	}
	containers, broken, err := libcontainer.List(root)
	if err != nil {
		return err
	}
	errs := broken
	for _, c := range containers {
		if !re.MatchString(c.ID()) {
			continue
		}
		if err := f(c.ID(), c); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.ID(), err))
		}
	}
	return errors.Join(errs...)
}
