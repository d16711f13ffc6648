load helpers
@test "leak process" { bash -c "sleep 30; : $T/x" 3>&- >/dev/null 2>&1 & }
