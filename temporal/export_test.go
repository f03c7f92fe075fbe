package viduworkflow

import (
	"time"

	"go.temporal.io/sdk/activity"
)

// Names in histories.
const (
	WorkflowName  = workflowName
	SubmitName    = submitName
	ReconcileName = reconcileName
	AwaitName     = awaitName
	DownloadName  = downloadName
	CallbackName  = callbackName
)

// SetClock makes the activities live by the testsuite's virtual time.
func (a *Activities) SetClock(clock func() time.Time) { a.clock = clock }

// SendBudget is how long Submit may take.
func SendBudget(info *activity.Info) time.Duration { return sendBudget(info) }

// KindOf is what Submit makes of a failed create.
func KindOf(err error) Kind { return kindOf(err) }
