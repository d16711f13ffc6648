// SPDX-License-Identifier: Apache-2.0

package supervise

import "sync"

// Queue passes events in order to one reader. It has no bound: an event that is
// lost is a container that runs for ever in somebody's eyes, and events are
// small.
type Queue[T any] struct {
	mu     sync.Mutex
	more   sync.Cond
	items  []T
	busy   bool
	closed bool
}

// NewQueue starts the goroutine that calls read with each item.
func NewQueue[T any](read func(T)) *Queue[T] {
	q := &Queue[T]{}
	q.more.L = &q.mu
	go q.run(read)
	return q
}

// Put appends an item; after Close it does nothing.
func (q *Queue[T]) Put(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.items = append(q.items, item)
		q.more.Broadcast()
	}
}

// Flush waits until everything that was put has been read.
func (q *Queue[T]) Flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) > 0 || q.busy {
		q.more.Wait()
	}
}

// Close ends the goroutine once everything was read.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Broadcast()
}

func (q *Queue[T]) run(read func(T)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.items) == 0 {
			if q.closed {
				return
			}
			q.items = nil // a burst's memory goes back
			q.more.Wait()
		}
		item := q.items[0]
		var none T
		q.items[0] = none
		q.items, q.busy = q.items[1:], true
		q.mu.Unlock()
		read(item)
		q.mu.Lock()
		q.busy = false
		q.more.Broadcast()
	}
}
