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

// TestShortForm does both runs with small numbers. The program's error is the judge's.
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

func TestFaultyCreate_HalfAreAmbiguous(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		assert.GreaterOrEqual(t, chaos.Ambiguous(10_000, seed), 5000, "seed %d", seed)
	}
}

// TestJudge_FindsBrokenPromises judges clients that break them.
func TestJudge_FindsBrokenPromises(t *testing.T) {
	t.Parallel()
	twice, lost, err := chaos.RunRetrying(t.Context(), 80)
	require.NoError(t, err)
	assert.Greater(t, twice, 10)
	assert.Greater(t, lost, 3)
	twice, lost, err = chaos.RunNaive(t.Context(), 100)
	require.NoError(t, err)
	assert.Zero(t, twice)
	assert.Greater(t, lost, 25)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	failure := errors.New("reset")
	tests := map[string]struct {
		got     chaos.Outcome
		paid    []string
		columns []string
		broken  bool
	}{
		"the task":                        {got: chaos.Outcome{ID: "1"}, paid: []string{"1"}, columns: []string{"answered"}},
		"unknown":                         {got: chaos.Outcome{Err: failure, Maybe: true}, paid: []string{"1"}, columns: []string{"paid, unknown"}},
		"unknown, not paid":               {got: chaos.Outcome{Err: failure, Maybe: true}, columns: []string{"not paid, unknown"}},
		"not created":                     {got: chaos.Outcome{Err: failure}, columns: []string{"failed"}},
		"not created, but paid":           {got: chaos.Outcome{Err: failure}, paid: []string{"1"}, columns: []string{"lost"}, broken: true},
		"another task's id":               {got: chaos.Outcome{ID: "2"}, paid: []string{"1"}, columns: []string{"lost"}, broken: true},
		"id without a task":               {got: chaos.Outcome{ID: "2"}, columns: []string{"lost"}, broken: true},
		"two tasks, one of them returned": {got: chaos.Outcome{ID: "2"}, paid: []string{"1", "2"}, columns: []string{"answered", "twice"}, broken: true},
		"two tasks, unknown":              {got: chaos.Outcome{Err: failure, Maybe: true}, paid: []string{"1", "2"}, columns: []string{"paid, unknown", "twice"}, broken: true},
		"two tasks, lost":                 {got: chaos.Outcome{Err: failure}, paid: []string{"1", "2"}, columns: []string{"lost", "twice"}, broken: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			columns, err := chaos.Judge(tt.got, tt.paid...)
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
