package eventloop

import (
	"reflect"

	"github.com/panjf2000/gnet/v2"
)

// shrinkTableOf copies the table of connections of gc's loop, inside gnet, into one of the size that it needs. Go's maps keep their largest
// size: 17 to 34 bytes for each connection that the loop ever had at the same time. It reports false with a version of gnet that has
// another table. It is called by the loop, which alone uses the table, outside of gnet's own calls.
func shrinkTableOf(gc gnet.Conn) bool {
	c := reflect.Indirect(reflect.ValueOf(gc))
	table := c
	for _, field := range []string{"loop", "connections", "connMap"} {
		if table = reflect.Indirect(table); table.Kind() != reflect.Struct {
			return false
		}
		table = table.FieldByName(field)
	}
	if table.Kind() != reflect.Map || !table.CanAddr() || table.Type().Key().Kind() != reflect.Int {
		return false
	}
	table = reflect.NewAt(table.Type(), table.Addr().UnsafePointer()).Elem() // the fields have no names outside of gnet
	small := reflect.MakeMapWithSize(table.Type(), table.Len())
	for all := table.MapRange(); all.Next(); {
		small.SetMapIndex(all.Key(), all.Value())
	}
	table.Set(small)
	return true
}
