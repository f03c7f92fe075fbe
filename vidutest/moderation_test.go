package vidutest_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// prompted returns goodBody with another prompt.
func prompted(t *testing.T, prompt string) string {
	t.Helper()
	return with(t, "prompt", string(encode(t, prompt)))
}

func TestWithRefusedWord(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(),
		vidutest.WithRefusedWord("blood", "TaskPromptPolicyViolation"), vidutest.WithRefusedWord("gun", "AuditSubmitIllegal"))
	defer s.Close()
	got := create(t, s, prompted(t, "a gun"))
	assertRefused(t, got, http.StatusBadRequest, "AuditSubmitIllegal", "prompt")
	got = create(t, s, prompted(t, "a gun and blood"))
	assertRefused(t, got, http.StatusBadRequest, "TaskPromptPolicyViolation", "prompt")
	assert.Zero(t, s.Charged())
	assert.Equal(t, http.StatusOK, create(t, s, prompted(t, "a Gun")).status)
}

func TestWithFailingWord(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(0, 0),
		vidutest.WithFailingWord("blood", "CreationPolicyViolation"), vidutest.WithFailingWord("gun", "PhotoAuditNotPass"))
	defer s.Close()
	errCode := func(prompt string) any {
		return decode(t, query(t, s, createTask(t, s, prompted(t, prompt))).body)["err_code"]
	}
	assert.Equal(t, "PhotoAuditNotPass", errCode("a gun"))
	assert.Equal(t, "CreationPolicyViolation", errCode("a gun and blood"))
	assert.Empty(t, errCode("a flower"))
	s.FailTask("AuditFailed")
	s.FailTask("")
	assert.Equal(t, "AuditFailed", errCode("a gun"))
	assert.Equal(t, "PhotoAuditNotPass", errCode("a gun"))
}

func TestWithTaskLimit(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		create := func() reply { return ask(t, s, http.MethodPost, "/ent/v2/reference2video", officialBody) }
		first := createOfficial(t, s)
		assert.Contains(t, ask(t, s, http.MethodGet, "/ent/v2/credits", "").body, `"concurrency_limit":2,`)
		pass(5 * time.Second)
		createOfficial(t, s)
		s.FailTask("AuditFailed")
		assertRefused(t, create(), http.StatusTooManyRequests, "QuotaExceeded", "")
		assert.Equal(t, 2, s.Charged())

		require.Equal(t, http.StatusOK, cancelTask(t, s, first).status)
		third := createOfficial(t, s) // in the place of the canceled one
		assertRefused(t, create(), http.StatusTooManyRequests, "QuotaExceeded", "")
		pass(30*time.Second - 1)
		assertRefused(t, create(), http.StatusTooManyRequests, "QuotaExceeded", "")
		pass(1)
		assert.Equal(t, "AuditFailed", queryOfficial(t, s, third)["err_code"], "a refused create leaves the script in the queue")
		createOfficial(t, s)
		createOfficial(t, s)
		assertRefused(t, create(), http.StatusTooManyRequests, "QuotaExceeded", "")
	}, vidutest.WithTaskLimit(2))
}

// However many creates come at once, no more than the limit are accepted.
func TestWithTaskLimit_Concurrent(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTaskLimit(5), vidutest.WithTiming(time.Hour, 0))
	defer s.Close()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _ = do(s, newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(goodBody))) })
	}
	all.Wait()
	assert.Equal(t, 5, s.Charged())
}
