package claims_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/claims"
	"github.com/vidu-go/vidu/internal/testkit"
)

const ttl = time.Hour

// claim returns whether key is committed. It fails the test if key is claimed by another for longer than a minute.
func claim(t *testing.T, m *claims.Memory, key string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	committed, err := m.Claim(ctx, key, time.Minute)
	require.NoError(t, err, key)
	return committed
}

func commit(t *testing.T, m *claims.Memory, key string) {
	t.Helper()
	require.False(t, claim(t, m, key), key)
	require.NoError(t, m.Commit(t.Context(), key, ttl))
}

func release(t *testing.T, m *claims.Memory, key string) {
	t.Helper()
	require.NoError(t, m.Release(t.Context(), key))
}

// known reports whether key is committed, and leaves it as it was.
func known(t *testing.T, m *claims.Memory, key string) bool {
	t.Helper()
	committed := claim(t, m, key)
	if !committed {
		release(t, m, key)
	}
	return committed
}

func TestMemory_CommittedOnce(t *testing.T) {
	t.Parallel()
	m := claims.New()
	commit(t, m, "a")
	assert.True(t, claim(t, m, "a"))
	assert.True(t, claim(t, m, "a"))
	assert.False(t, claim(t, m, "b"), "another key")
}

func TestMemory_ReleasedCanBeClaimed(t *testing.T) {
	t.Parallel()
	m := claims.New()
	for range 3 {
		require.False(t, claim(t, m, "a"))
		release(t, m, "a")
	}
	commit(t, m, "a")
	assert.True(t, known(t, m, "a"))
}

func TestMemory_CommittedForItsTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := claims.New()
		commit(t, m, "a")
		testkit.Pass(ttl - 1)
		assert.True(t, known(t, m, "a"))
		testkit.Pass(1)
		assert.False(t, known(t, m, "a"))
		commit(t, m, "a")
		testkit.Pass(ttl - 1)
		assert.True(t, known(t, m, "a"), "for as long again")
	})
}

func TestMemory_ForgetsTheOldest(t *testing.T) {
	t.Parallel()
	m := claims.NewLimited(10)
	for i := range 13 {
		commit(t, m, strconv.Itoa(i))
	}
	for i := range 13 {
		assert.Equal(t, i >= 3, known(t, m, strconv.Itoa(i)), i)
	}
}

// The limit counts what is committed now: neither expired keys nor claims push anything out.
func TestMemory_ExpiredKeysMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := claims.NewLimited(3)
		for i := range 3 {
			commit(t, m, "old "+strconv.Itoa(i))
			testkit.Pass(time.Minute)
		}
		testkit.Pass(ttl - 2*time.Minute - time.Second) // the first two have expired
		commit(t, m, "new 0")
		require.False(t, claim(t, m, "held"))
		commit(t, m, "new 1")
		for _, key := range []string{"old 2", "new 0", "new 1"} {
			assert.True(t, known(t, m, key), key)
		}
	})
}

// A key that is committed again does not go with its expired entry.
func TestMemory_CommittedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := claims.NewLimited(3)
		commit(t, m, "a")
		testkit.Pass(ttl)
		for _, key := range []string{"a", "b", "c"} {
			commit(t, m, key)
		}
		for _, key := range []string{"a", "b", "c"} {
			assert.True(t, known(t, m, key), key)
		}
	})
}

func TestMemory_Holds100000(t *testing.T) {
	t.Parallel()
	m := claims.New()
	for i := range 100_001 {
		key := strconv.Itoa(i)
		_, err := m.Claim(t.Context(), key, time.Minute)
		require.NoError(t, err)
		require.NoError(t, m.Commit(t.Context(), key, ttl))
	}
	assert.False(t, known(t, m, "0"))
	assert.True(t, known(t, m, "1"))
	assert.True(t, known(t, m, "100000"))
}

func TestMemory_WaitersSeeTheCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := claims.New()
		require.False(t, claim(t, m, "a"))
		var seen atomic.Int64
		var waiting sync.WaitGroup
		for range 5 {
			waiting.Go(func() {
				if claim(t, m, "a") {
					seen.Add(1)
				}
			})
		}
		synctest.Wait()
		assert.Zero(t, seen.Load(), "they wait")
		require.NoError(t, m.Commit(t.Context(), "a", ttl))
		waiting.Wait()
		assert.EqualValues(t, 5, seen.Load())
	})
}

// When a claim is released, one of those who wait holds it, and the others go on waiting.
func TestMemory_OneWaiterFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := claims.New()
		require.False(t, claim(t, m, "a"))
		var holding, turns atomic.Int64
		var waiting sync.WaitGroup
		for range 5 {
			waiting.Go(func() {
				if claim(t, m, "a") {
					return
				}
				assert.EqualValues(t, 1, holding.Add(1))
				testkit.Pass(time.Second)
				holding.Add(-1)
				if turns.Add(1) < 3 {
					assert.NoError(t, m.Release(t.Context(), "a"))
				} else {
					assert.NoError(t, m.Commit(t.Context(), "a", ttl))
				}
			})
		}
		synctest.Wait()
		release(t, m, "a")
		waiting.Wait()
		assert.EqualValues(t, 3, turns.Load(), "two released it, one committed it, two saw that")
	})
}

func TestMemory_WaiterGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := claims.New()
		require.False(t, claim(t, m, "a"))
		started := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		committed, err := m.Claim(ctx, "a", time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, committed)
		assert.Equal(t, time.Second, time.Since(started))
		assert.False(t, claim(t, m, "b"), "other keys do not wait")
		release(t, m, "a")
		assert.False(t, claim(t, m, "a"), "the one who gave up holds nothing")
	})
}
