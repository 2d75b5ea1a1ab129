// The oracle: Pulumi's own journal replayer behind standard input and output.
//
// Reads lines {"base": DeploymentV3 or null, "entries": [JournalEntry, …]} and answers each with one line:
// {"result": {version, features, deployment}}, {"error": …} or {"panic": …}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

type question struct {
	Base    *apitype.DeploymentV3  `json:"base"`
	Entries []apitype.JournalEntry `json:"entries"`
}

type answer struct {
	Result *apitype.TypedDeployment `json:"result,omitempty"`
	Error  string                   `json:"error,omitempty"`
	Panic  string                   `json:"panic,omitempty"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		text, err := json.Marshal(replay(line))
		if err != nil {
			text, _ = json.Marshal(answer{Error: err.Error()})
		}
		out.Write(append(text, '\n'))
		// The reader waits for this answer before it asks again, or has asked ahead.
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

func replay(line []byte) (a answer) {
	defer func() {
		if cause := recover(); cause != nil {
			a = answer{Panic: fmt.Sprint(cause)}
		}
	}()
	var q question
	if err := json.Unmarshal(line, &q); err != nil {
		return answer{Error: "question: " + err.Error()}
	}
	if q.Base == nil {
		q.Base = &apitype.DeploymentV3{}
	}
	replayer := backend.NewJournalReplayer(q.Base)
	for _, entry := range q.Entries {
		if err := replayer.Add(entry); err != nil {
			return answer{Error: err.Error()}
		}
	}
	deployment, err := replayer.GenerateDeployment()
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Result: &deployment}
}
