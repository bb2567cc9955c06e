// Package gatewaytest starts an emulator of Entra and Graph, and a gateway with all its checks, for your own tests.
package gatewaytest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
)

// Gateway is a running gateway that uses an emulated Graph.
type Gateway struct {
	Address string // of gRPC, in plain text
	REST    string // root URL of REST
	Token   string // of a caller that may do everything
	Control string // root URL of the emulator's control port
}

// Start starts the gateway and the emulator, until the end of the test. It runs the Python in the environment variable
// COMPLIANCE_GATEWAY_PYTHON (default python3), which needs compliance-gateway-client[testing].
func Start(t testing.TB) *Gateway {
	t.Helper()
	python := os.Getenv("COMPLIANCE_GATEWAY_PYTHON")
	if python == "" {
		python = "python3"
	}
	command := exec.Command(python, "-m", "compliance_gateway.testing")
	command.Stderr = os.Stderr
	hold, err := command.StdinPipe()
	check(t, err)
	out, err := command.StdoutPipe()
	check(t, err)
	check(t, command.Start())
	t.Cleanup(func() {
		hold.Close()
		command.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("%s -m compliance_gateway.testing did not start", python)
	}
	gateway := &Gateway{}
	check(t, json.Unmarshal(line, gateway))
	return gateway
}

// Assignments returns the assignments of a policy in the emulated Graph, as Graph shows them.
func (g *Gateway) Assignments(t testing.TB, policy string) []map[string]any {
	t.Helper()
	answer, err := http.Get(g.Control + "/state")
	check(t, err)
	defer answer.Body.Close()
	var state struct {
		Policies map[string]struct{ Assignments []map[string]any }
	}
	check(t, json.NewDecoder(answer.Body).Decode(&state))
	return state.Policies[policy].Assignments
}

// NewPolicy adds a policy without assignments and returns its ID.
func (g *Gateway) NewPolicy(t testing.TB) string {
	t.Helper()
	var b [16]byte
	rand.Read(b[:])
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	body, err := json.Marshal(map[string]string{"id": id, "displayName": id})
	check(t, err)
	answer, err := http.Post(g.Control+"/policies", "application/json", bytes.NewReader(body))
	check(t, err)
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		said, _ := io.ReadAll(answer.Body)
		t.Fatalf("no new policy: %s", said)
	}
	return id
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
