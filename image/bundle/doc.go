// SPDX-License-Identifier: Apache-2.0

// Package bundle makes the config.json of a bundle from an image's config and
// what the user asks for instead. It follows image-spec conversion.md; whatever
// the image does not say is as in Docker's containers: namespaces, mounts,
// capabilities, masked paths, system call filter.
//
// The image is hostile. Its strings go into the fields that belong to them and
// steer nothing else: the isolation depends on Options alone.
//
//	root, err := inroot.Open("bundle/rootfs")
//	defer root.Close()
//	spec, warnings, err := bundle.Spec(config, root, bundle.Options{
//		Cmd: []string{"sh"}, TTY: true, Memory: 512 << 20,
//	})
package bundle
