package main_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	chaos "github.com/vidu-go/vidu/chaos"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// TestShortForm is both runs with small numbers. The program's error is the judge's.
func TestShortForm(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"faults":  {"-creates", "200", "-lanes", "16"},
		"cancels": {"-cancels", "1000", "-lanes", "16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := chaos.Run(t.Context(), args, &out)
			t.Log(out.String())
			require.NoError(t, err)
		})
	}
}

func TestHalfOfTheCreatesMeetAnAmbiguousFault(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		assert.GreaterOrEqual(t, chaos.Ambiguous(10_000, seed), 5000, "seed %d", seed)
	}
}

// TestJudgeIsNotBlind: clients that do wrong are seen to do wrong.
func TestJudgeIsNotBlind(t *testing.T) {
	t.Parallel()
	twice, lost, err := chaos.PlayRetrying(t.Context(), 80)
	require.NoError(t, err)
	assert.Greater(t, twice, 10)
	assert.Greater(t, lost, 3)
	twice, lost, err = chaos.PlayNaive(t.Context(), 100)
	require.NoError(t, err)
	assert.Zero(t, twice)
	assert.Greater(t, lost, 25)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	failure := errors.New("reset")
	tests := map[string]struct {
		said    chaos.Said
		paid    []string
		columns []string
		broken  bool
	}{
		"the task":                        {said: chaos.Said{ID: "1"}, paid: []string{"1"}, columns: []string{"answered"}},
		"flagged":                         {said: chaos.Said{Err: failure, Maybe: true}, paid: []string{"1"}, columns: []string{"flagged"}},
		"flagged for nothing":             {said: chaos.Said{Err: failure, Maybe: true}, columns: []string{"alarm"}},
		"rightly not created":             {said: chaos.Said{Err: failure}, columns: []string{"failed"}},
		"wrongly not created":             {said: chaos.Said{Err: failure}, paid: []string{"1"}, columns: []string{"lost"}, broken: true},
		"another task's id":               {said: chaos.Said{ID: "2"}, paid: []string{"1"}, columns: []string{"lost"}, broken: true},
		"an id of nothing":                {said: chaos.Said{ID: "2"}, columns: []string{"lost"}, broken: true},
		"two tasks, one of them returned": {said: chaos.Said{ID: "2"}, paid: []string{"1", "2"}, columns: []string{"answered", "twice"}, broken: true},
		"two tasks, flagged":              {said: chaos.Said{Err: failure, Maybe: true}, paid: []string{"1", "2"}, columns: []string{"flagged", "twice"}, broken: true},
		"two tasks, lost":                 {said: chaos.Said{Err: failure}, paid: []string{"1", "2"}, columns: []string{"lost", "twice"}, broken: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			columns, err := chaos.Judge(tt.said, tt.paid...)
			assert.Equal(t, tt.columns, columns)
			assert.Equal(t, tt.broken, err != nil, "%v", err)
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-creates", "0"}, {"-creates", "1", "-lanes", "0"}, {"-creates", "x"}} {
		require.Error(t, chaos.Run(t.Context(), args, t.Output()), "%v", args)
	}
}
