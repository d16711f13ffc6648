// SPDX-License-Identifier: Apache-2.0

//go:build reference

package options

import "berth/internal/reference"

// Reference is the table of flags for the manual page.
func Reference() []reference.Flag {
	var list []reference.Flag
	for _, f := range new(command).flags() {
		if f.help == "" {
			continue
		}
		r := reference.Flag{Names: []string{"--" + f.long}, Usage: f.help}
		if f.short != 0 {
			r.Names = append(r.Names, "-"+string(f.short))
		}
		switch f.into.(type) {
		case *bool:
		case *string, *[]string:
			r.Value = "STRING"
		default:
			r.Value = "NUMBER"
		}
		list = append(list, r)
	}
	return list
}
