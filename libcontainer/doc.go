// SPDX-License-Identifier: Apache-2.0

// Package libcontainer is the life of a container, one file per operation. It
// compiles a config into a boot image (packages plan and boot), starts that,
// and does the parent's steps at its barriers. It re-executes nothing and
// keeps no global state, so any Go program can embed it:
//
//	spec, err := specconv.Load(bundle)
//	cfg, warnings, err := specconv.Convert(spec, specconv.Options{ID: "web", Bundle: bundle})
//	c, err := libcontainer.Create(libcontainer.CreateOptions{
//		Root: "/run/berth", ID: "web", Config: cfg, Start: true,
//		Stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
//	})
//	init, err := c.Init()
//	status, err := init.Wait()
package libcontainer
