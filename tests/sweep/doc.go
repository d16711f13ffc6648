// SPDX-License-Identifier: Apache-2.0

// Package sweep kills a runtime at random points of create, start and run and
// then looks for what `delete --force` left: processes, cgroups, mounts, state.
// It holds tests only. To repeat a run or to look at a peer:
//
//	BERTH_SWEEP_SEED=7 BERTH_SWEEP_POINTS=600 go test ./tests/sweep -v
//	BERTH_TEST_RUNTIME=crun go test ./tests/sweep -v
package sweep
