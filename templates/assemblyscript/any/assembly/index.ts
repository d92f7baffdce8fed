// What the module exports to the host: the functions of world `record-processor`, and what passing data takes.
import "./plugin";

export {
  describe, open, process, fire,
  cabi_realloc, cabi_post_describe, cabi_post_open, cabi_post_process, cabi_post_fire,
} from "./sandbar";
