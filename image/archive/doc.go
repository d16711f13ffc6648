// SPDX-License-Identifier: Apache-2.0

// Package archive reads and writes images in files: OCI layout directories and
// tars of them (image-spec image-layout.md), and what `docker save` writes. They
// are sources and sinks of package transport.
//
//	oci:DIR[:NAME]              a layout; NAME is org.opencontainers.image.ref.name, or a digest
//	oci-archive:FILE[:NAME]     a tar of one
//	docker-archive:FILE[:NAME]  of `docker save`; NAME is a tag as docker has it, or a digest
//	PATH[:NAME]                 one of these, or a plain tar of a root file system, by looking
//
// Nobody trusts these files. Members of a directory are opened below its
// descriptor, without following links; members of a tar are never unpacked,
// only found again by their offsets. What Fetch gives is verified by who reads
// it, as with each source.
//
//	l, err := archive.Parse("docker-archive:busybox.tar")
//	source, err := l.Open(archive.Options{})
//	defer source.Close()
//	desc, err := transport.Copy(ctx, source, sink, transport.CopyOptions{})
package archive
