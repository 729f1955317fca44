package appnet

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// latest are the versions that an end has taken last. A signature does not expire, and the control plane's key may sign for
// several applications: so what was signed once may be sent again, or to another program.
type latest struct {
	application string            // what names of applications are or begin with; empty as long as nothing says so
	made        map[string]uint64 // when the last one of each node was made
}

func newLatest(application string) latest {
	return latest{application, map[string]uint64{}}
}

var errFile = errors.New("it was made as a file for a program, and no control plane sends these")

// admits says why a version may not run, whoever signed it.
func (l *latest) admits(told nodePart) error {
	made, last := told.signed.Made, l.made[told.version.Node]
	switch {
	case made == 0:
		return errFile
	case l.application != "" && !isWithin(told.version.Application, l.application):
		return fmt.Errorf("it is for the application %q, and this program is part of %q: start it with APPNET_APPLICATION=%s if that is wrong",
			told.version.Application, l.application, told.version.Application)
	case made < last:
		return fmt.Errorf("it was made at %s, before the version that ran here last, which was made at %s: "+
			"somebody sends it again, or the clock of the control plane is behind", at(made), at(last))
	}
	return nil
}

// note takes a version as the last one of its node. In a cluster, a program may be part of several applications, of one
// namespace.
func (l *latest) note(taken nodePart) {
	l.made[taken.version.Node] = taken.signed.Made
	if l.application == "" {
		l.application, _, _ = strings.Cut(taken.version.Application, "/")
	}
}

// isWithin says whether an application is the one named, or of the namespace named.
func isWithin(application, named string) bool {
	return application == named || strings.HasPrefix(application, named+"/")
}

func at(made uint64) string {
	return time.Unix(0, int64(made)).UTC().Format("2006-01-02T15:04:05.000000Z")
}
