// SPDX-License-Identifier: Apache-2.0

// Package peers compares runtimes: the same bundles under berth, runc and crun
// must look the same from inside, as the payload reports it, except for the
// differences that are listed here with their reason. It holds tests only:
//
//	go test ./tests/peers -run 'TestPeersSeeTheSame/docker' -v
package peers
