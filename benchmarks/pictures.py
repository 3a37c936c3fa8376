def draw_if_possible(path):
    pass
