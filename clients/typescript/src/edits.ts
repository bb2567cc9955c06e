import { create } from "@bufbuild/protobuf";

import type { DeviceAndAppManagementAssignmentTarget as Target } from "./gen/compliance_gateway/v1/assignment_pb.js";
import {
  ComplianceAssignmentEditSchema,
  IfExists,
  type ComplianceAssignmentEdit,
} from "./gen/compliance_gateway/v1/compliance_assignment_service_pb.js";

const edit = (made: unknown): ComplianceAssignmentEdit => create(ComplianceAssignmentEditSchema, { edit: made as never });

/** Adds an assignment. */
export const creating = (target: Target, ifExists: IfExists = IfExists.UNSPECIFIED) =>
  edit({ case: "create", value: { assignment: { target }, ifExists } });
/** Replaces the target or filter of an assignment. */
export const updating = (id: string, target: Target) => edit({ case: "update", value: { id, assignment: { target } } });
/** Deletes the assignment with this ID, or to this target. */
export const deleting = (which: string | Target, options: { allowMissing?: boolean } = {}) =>
  edit({
    case: "delete",
    value: { assignment: typeof which === "string" ? { case: "id", value: which } : { case: "target", value: which }, ...options },
  });
