package appnet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/appnet-org/appnet/go/appnet/internal/control"
)

func refused(t *testing.T, report *control.Report, why string) {
	t.Helper()
	if report.Accepted || !strings.Contains(report.Error, why) {
		t.Fatal(report)
	}
}

// What was signed once does not come back, and going back to it is a new version.
func TestRefusesWhatIsOlder(t *testing.T) {
	kept := t.TempDir()
	p := newPlane(t, "127.0.0.1:0")
	calls, counts := part(t, "calls", false), part(t, "counts-b", false)
	counts.Node = calls.Node
	calls.Application, counts.Application = "shop", "shop"
	first, second := signed(calls), signed(counts)
	c := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
	for _, it := range []*control.SignedVersion{first, second, second} {
		id := map[*control.SignedVersion]string{first: calls.Id, second: counts.Id}[it]
		if report := p.saysSigned(t, it, id); !report.Accepted {
			t.Fatal(report)
		}
	}
	const older = "before the version that ran here last"
	refused(t, p.saysSigned(t, first, calls.Id), older)
	if _, err := c.UnaryCall(within(t), request("refuse")); err != nil {
		t.Fatal(err)
	}
	refused(t, p.saysSigned(t, signedAt(calls, 0), calls.Id), "as a file for a program")

	// The next process knows what the one before took, though its control plane answers at once.
	p = newPlane(t, "127.0.0.1:0")
	again := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
	p.hears(t)
	refused(t, p.saysSigned(t, first, calls.Id), older)
	if _, err := again.UnaryCall(within(t), request("refuse")); err != nil {
		t.Fatal(err) // by what was kept, as what is sent cannot be used
	}
	if report := p.says(t, calls); !report.Accepted {
		t.Fatal(report)
	}
	_, err := again.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")

	// A copy of an older file is not what was kept last.
	stale, _ := proto.Marshal(second)
	if err := os.WriteFile(filepath.Join(kept, "zz"+suffix), stale, 0o600); err != nil {
		t.Fatal(err)
	}
	p.server.Stop()
	third := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
	_, err = third.UnaryCall(within(t), request("refuse"))
	code(t, err, codes.Aborted, "refused")
}

// The key of a control plane may sign for many applications. A program is part of one, or of those of a namespace.
func TestRefusesOtherApplications(t *testing.T) {
	calls := part(t, "calls", false)
	of := func(application string) *control.SignedVersion {
		it := proto.Clone(calls).(*control.Version)
		it.Application = application
		return signed(it)
	}
	t.Run("named", func(t *testing.T) {
		p := newPlane(t, "127.0.0.1:0")
		connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Application("shop")))
		for _, it := range []string{"", "store", "shopping", "other/shop"} {
			refused(t, p.saysSigned(t, of(it), calls.Id), `and this program is part of "shop"`)
		}
		for _, it := range []string{"shop", "shop/echo"} {
			if report := p.saysSigned(t, of(it), calls.Id); !report.Accepted {
				t.Fatal(report)
			}
		}
	})
	t.Run("of the first", func(t *testing.T) {
		kept := t.TempDir()
		p := newPlane(t, "127.0.0.1:0")
		connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
		for _, it := range []string{"shop/echo", "shop/hotel"} {
			if report := p.saysSigned(t, of(it), calls.Id); !report.Accepted {
				t.Fatal(report)
			}
		}
		refused(t, p.saysSigned(t, of("test/echo"), calls.Id), `it is for the application "test/echo", and this program is part of "shop"`)
		p = newPlane(t, "127.0.0.1:0")
		connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
		p.hears(t)
		refused(t, p.saysSigned(t, of("test/echo"), calls.Id), `APPNET_APPLICATION=test/echo if that is wrong`)
		p = newPlane(t, "127.0.0.1:0")
		t.Setenv("APPNET_APPLICATION", "test")
		connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept)))
		p.hears(t)
		if report := p.saysSigned(t, of("test/echo"), calls.Id); !report.Accepted {
			t.Fatal(report)
		}
	})
}

// Files and control planes of other releases are refused in words that say so.
func TestRefusesOtherForms(t *testing.T) {
	kept := t.TempDir()
	p := newPlane(t, "127.0.0.1:0")
	calls := part(t, "calls", false)
	connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted()))
	old, next := signed(calls), signed(calls)
	old.Form, next.Form = 0, signedForm+1
	refused(t, p.saysSigned(t, old, calls.Id), "it was made by an older AppNet, without its application and its time")
	refused(t, p.saysSigned(t, next, calls.Id), "it is of form 3, and this release of AppNet reads 2")

	p.server.Stop()
	encoded, _ := proto.Marshal(old)
	if err := os.WriteFile(filepath.Join(kept, "old"+suffix), encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	c := connected(t, &service{}, nil, Dial("frontend", Control(p.address), trusted(), Keep(kept), Patience(2500*time.Millisecond)))
	_, err := c.UnaryCall(within(t), request("hello"))
	if err == nil || !strings.Contains(err.Error(), "frontend has no chains: the control plane at "+p.address) {
		t.Fatal(err)
	}
}
