package lint

import "slices"

// findCycles finds, for each job that does not start, the shortest way in
// which it waits for itself: the jobs after it, itself last. Jobs whose
// condition lacks something else as well count too, since they would be left
// when that is mended.
func (s *set) findCycles(jobs []verdict) [][]int {
	out := make([][]int, len(jobs))
	next := make([][]int, len(jobs))
	for i := range jobs {
		if jobs[i].starts {
			continue
		}
		for k := range jobs[i].start {
			o := &jobs[i].start[k]
			if o.dead() || o.outside {
				continue
			}
			for _, by := range o.by {
				if !jobs[by].starts {
					next[i] = append(next[i], by)
				}
			}
			if o.any {
				next[i] = append(next[i], i)
			}
		}
	}
	group := components(next)
	size := make([]int, len(jobs)+1)
	for _, g := range group {
		size[g]++
	}
	from := make([]int, len(jobs))
	for i := range jobs {
		if size[group[i]] > 1 || slices.Contains(next[i], i) {
			out[i] = shortest(next, group, from, i)
		}
	}
	return out
}

// shortest gives the shortest way from a job back to it, inside its group. from
// is room for the search.
func shortest(next [][]int, group, from []int, start int) []int {
	for i := range from {
		from[i] = -1
	}
	todo := []int{start}
	for len(todo) > 0 {
		i := todo[0]
		todo = todo[1:]
		for _, k := range next[i] {
			if k == start {
				way := []int{start}
				for ; i != start; i = from[i] {
					way = append(way, i)
				}
				for a, b := 0, len(way)-1; a < b; a, b = a+1, b-1 {
					way[a], way[b] = way[b], way[a]
				}
				return way
			}
			if group[k] == group[start] && from[k] < 0 {
				from[k] = i
				todo = append(todo, k)
			}
		}
	}
	return nil
}

// components numbers the groups of jobs that wait for each other, by the
// method of Tarjan, without recursion: a chain of jobs may be long.
func components(next [][]int) []int {
	n := len(next)
	group, index, low := make([]int, n), make([]int, n), make([]int, n)
	on := make([]bool, n)
	at := make([]int, n) // which of next comes next
	var stack, path []int
	count, groups := 0, 0
	for root := range next {
		if index[root] != 0 {
			continue
		}
		path = append(path, root)
		for len(path) > 0 {
			i := path[len(path)-1]
			if index[i] == 0 {
				count++
				index[i], low[i], on[i] = count, count, true
				stack = append(stack, i)
			}
			if at[i] < len(next[i]) {
				k := next[i][at[i]]
				at[i]++
				if index[k] == 0 {
					path = append(path, k)
				} else if on[k] {
					low[i] = min(low[i], index[k])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				above := path[len(path)-1]
				low[above] = min(low[above], low[i])
			}
			if low[i] != index[i] {
				continue
			}
			groups++
			for {
				k := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				on[k], group[k] = false, groups
				if k == i {
					break
				}
			}
		}
	}
	return group
}
