// The tables that the host writes and the step before the pass prepares for it: reals of a group's settings, reals of the header of the progress, and reals
// of a group's progress.

#define SETTING_WORDS   17
#define PROGRESS_HEADER 4
#define PROGRESS_WORDS  4
