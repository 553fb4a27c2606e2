/** Whether a path is one of the administration, or would be if there were such an endpoint. */
export function isAdminPath(path: string): boolean {
  return path.startsWith("/admin/");
}
