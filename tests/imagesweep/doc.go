// SPDX-License-Identifier: Apache-2.0

// Package imagesweep kills berth-image at random points of its verbs: the
// process alone, or its whole group, with the applier and the container's
// runtime. Then nothing half-made may be visible, the same command must succeed,
// and when all is removed `gc` must leave an empty store: no blobs, layers,
// records, mounts, processes, or directories beside bundles. It holds tests only,
// which need root. To kill more, to repeat a run, or to take another binary:
//
//	go test ./tests/imagesweep -v -kills 100
//	BERTH_SWEEP_SEED=7 BERTH_IMAGE=/tmp/berth-image go test ./tests/imagesweep -v -run Killed/pull
package imagesweep
