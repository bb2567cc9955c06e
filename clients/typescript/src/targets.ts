import { create } from "@bufbuild/protobuf";

import {
  DeviceAndAppManagementAssignmentFilterType as FilterType,
  DeviceAndAppManagementAssignmentTargetSchema as TargetSchema,
  type DeviceAndAppManagementAssignmentTarget as Target,
} from "./gen/compliance_gateway/v1/assignment_pb.js";

/** Narrows a target by an assignment filter. */
export interface Filter {
  deviceAndAppManagementAssignmentFilterId: string;
  deviceAndAppManagementAssignmentFilterType: FilterType;
}

const filter = (id: string, type: FilterType): Filter => ({
  deviceAndAppManagementAssignmentFilterId: id,
  deviceAndAppManagementAssignmentFilterType: type,
});
const target = (type: Target["type"], narrowed?: Filter): Target => create(TargetSchema, { type: type as never, ...narrowed });

/** Narrows a target to what the filter with this ID matches. */
export const including = (id: string): Filter => filter(id, FilterType.INCLUDE);
/** Narrows a target to what the filter with this ID does not match. */
export const excluding = (id: string): Filter => filter(id, FilterType.EXCLUDE);
/** The members of an Entra group. */
export const group = (groupId: string, narrowed?: Filter) => target({ case: "group", value: { groupId } as never }, narrowed);
/** Excludes the members of an Entra group. */
export const exclusion = (groupId: string) => target({ case: "exclusionGroup", value: { groupId } as never });
/** All users with an Intune licence. */
export const allUsers = (narrowed?: Filter) => target({ case: "allLicensedUsers", value: {} as never }, narrowed);
/** All devices. */
export const allDevices = (narrowed?: Filter) => target({ case: "allDevices", value: {} as never }, narrowed);
/** A collection of Configuration Manager. */
export const collection = (collectionId: string, narrowed?: Filter) =>
  target({ case: "configurationManagerCollection", value: { collectionId } as never }, narrowed);
