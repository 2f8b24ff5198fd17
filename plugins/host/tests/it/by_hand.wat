;; A connector by hand, for what no compiler would emit. Its test guesses a handle that it was never given; a test of
;; the host may put a start function into the marked place.
(component
  (import "wherry:connector/types@1.0.0" (instance $types
    (type $kind-is (enum "config" "auth" "forbidden" "not-found" "throttled" "transient" "data" "cancelled" "unsupported" "internal"))
    (export "error-kind" (type $kind (eq $kind-is)))
    (type $error-is (record
      (field "kind" $kind) (field "code" string) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "details" (option string))))
    (export "error" (type (eq $error-is)))
  ))
  (import "wherry:connector/invocations@1.0.0" (instance $invocations
    (export "invocation" (type $invocation (sub resource)))
    (export "[method]invocation.attempt" (func (param "self" (borrow $invocation)) (result u32)))
  ))
  (import "wherry:connector/rows@1.0.0" (instance $rows
    (export "reader" (type (sub resource)))
    (export "writer" (type (sub resource)))
  ))
  (alias export $types "error-kind" (type $kind))
  (alias export $types "error" (type $error))
  (alias export $invocations "invocation" (type $invocation))
  (alias export $rows "reader" (type $reader))
  (alias export $rows "writer" (type $writer))
  (type $status (enum "complete" "more"))
  (type $outcome (record (field "status" $status) (field "output" (option string))))

  (alias export $invocations "[method]invocation.attempt" (func $attempt))
  (core func $attempt-lowered (canon lower (func $attempt)))

  (core module $code
    (import "host" "attempt" (func $attempt (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "describe") (result i32) unreachable)
    (func (export "test") (param i32) (result i32) (call $attempt (i32.const 4711)))
    (func (export "invoke") (param i32 i32 i32 i32 i32) (result i32) unreachable)
    (func $spin (loop $again (br $again)))
    (func $mark
      (if (i32.load (i32.const 40000)) (then unreachable))
      (i32.store (i32.const 40000) (i32.const 1)))
    ;; start
  )
  (core instance $run (instantiate $code
    (with "host" (instance (export "attempt" (func $attempt-lowered))))))
  (alias core export $run "memory" (core memory $memory))
  (alias core export $run "realloc" (core func $realloc))

  (func $describe (result string)
    (canon lift (core func $run "describe") (memory $memory) (realloc $realloc)))
  (func $test (param "inv" (borrow $invocation)) (result (result string (error $error)))
    (canon lift (core func $run "test") (memory $memory) (realloc $realloc)))
  (func $invoke
    (param "inv" (borrow $invocation)) (param "input" (option (borrow $reader))) (param "output" (option (borrow $writer)))
    (result (result $outcome (error $error)))
    (canon lift (core func $run "invoke") (memory $memory) (realloc $realloc)))

  ;; Gives the types of the exported functions their names.
  (component $named
    (type $kind-is (enum "config" "auth" "forbidden" "not-found" "throttled" "transient" "data" "cancelled" "unsupported" "internal"))
    (import "kind" (type $kind (eq $kind-is)))
    (type $error-is (record
      (field "kind" $kind) (field "code" string) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "details" (option string))))
    (import "error" (type $error (eq $error-is)))
    (import "invocation" (type $invocation (sub resource)))
    (import "reader" (type $reader (sub resource)))
    (import "writer" (type $writer (sub resource)))
    (type $status-is (enum "complete" "more"))
    (import "status" (type $status (eq $status-is)))
    (type $outcome-is (record (field "status" $status) (field "output" (option string))))
    (import "outcome" (type $outcome (eq $outcome-is)))
    (import "test" (func $test (param "inv" (borrow $invocation)) (result (result string (error $error)))))
    (import "invoke" (func $invoke
      (param "inv" (borrow $invocation)) (param "input" (option (borrow $reader))) (param "output" (option (borrow $writer)))
      (result (result $outcome (error $error)))))

    (export $kind-out "error-kind" (type $kind))
    (type $error-out-is (record
      (field "kind" $kind-out) (field "code" string) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "details" (option string))))
    (export $error-out "error" (type $error-out-is))
    (export $invocation-out "invocation" (type $invocation))
    (export $reader-out "reader" (type $reader))
    (export $writer-out "writer" (type $writer))
    (export $status-out "status" (type $status-is))
    (type $outcome-out-is (record (field "status" $status-out) (field "output" (option string))))
    (export $outcome-out "outcome" (type $outcome-out-is))
    (export "test" (func $test)
      (func (param "inv" (borrow $invocation-out)) (result (result string (error $error-out)))))
    (export "invoke" (func $invoke) (func
      (param "inv" (borrow $invocation-out)) (param "input" (option (borrow $reader-out))) (param "output" (option (borrow $writer-out)))
      (result (result $outcome-out (error $error-out)))))
  )
  (instance $meta (export "describe" (func $describe)))
  (instance $activities (instantiate $named
    (with "kind" (type $kind)) (with "error" (type $error)) (with "invocation" (type $invocation))
    (with "reader" (type $reader)) (with "writer" (type $writer))
    (with "status" (type $status)) (with "outcome" (type $outcome))
    (with "test" (func $test)) (with "invoke" (func $invoke))
  ))
  (export "wherry:connector/meta@1.0.0" (instance $meta))
  (export "wherry:connector/activities@1.0.0" (instance $activities))
)
