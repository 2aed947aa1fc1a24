package admission

import "sync"

// Users counts the connections of each user. Any goroutine may use it. The table is bounded by the connections that it counts.
// The zero value is ready.
type Users struct {
	mu   sync.Mutex
	list map[string]*User
}

// A User is one user with connections.
type User struct {
	Name        string // immutable
	connections int    // guarded by Users.mu
}

// Enter counts a connection of a user until Leave. It reports false and does not count the connection if the user already
// has most; 0 = no limit.
func (u *Users) Enter(name string, most int) (*User, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user := u.list[name]
	if user != nil && most > 0 && user.connections >= most {
		return nil, false
	}
	if user == nil {
		if u.list == nil {
			u.list = make(map[string]*User)
		}
		user = &User{Name: name}
		u.list[name] = user
	}
	user.connections++
	return user, true
}

// Leave ends a connection of a user.
func (u *Users) Leave(user *User) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if user.connections--; user.connections == 0 {
		delete(u.list, user.Name)
	}
}

// Count returns the number of users with connections.
func (u *Users) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.list)
}
