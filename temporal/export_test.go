package viduworkflow

import (
	"time"

	"go.temporal.io/sdk/activity"
)

// Names in histories.
const (
	WorkflowName  = workflowName
	SubmitName    = submitName
	CreateName    = createName
	ReconcileName = reconcileName
	AwaitName     = awaitName
	DownloadName  = downloadName
	CallbackName  = callbackName
)

// SetClock makes the activities use the testsuite's virtual time.
func (a *Activities) SetClock(clock func() time.Time) { a.clock = clock }

// SendBudget returns how long Submit may take.
func SendBudget(info *activity.Info) time.Duration { return sendBudget(info) }

// KindOf returns the Kind of a failed create.
func KindOf(err error) Kind { return kindOf(err) }
